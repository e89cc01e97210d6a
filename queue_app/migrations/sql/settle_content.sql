-- Where a job's downloaded content is to lie, so that the same bytes from two sources are stored once. For the holder of
-- the lease; nothing when it was lost.
--   stored   a confirmed copy of the content exists already: repo_ and path_ say where. What is missing is added there.
--   store    nobody has it: the caller stores it under repo_ and path_. That is its own name, unless under it lies another
--            content that another video shares: then the name is told apart by the content.
--   wait     another job is storing it right now. This one has been put back, for that to end; no attempt is burnt.
CREATE OR REPLACE FUNCTION settle_content(p_id uuid, p_lease_token uuid, p_repo text, p_path text, p_sha256 text)
RETURNS TABLE (verdict text, repo_ text, path_ text)
LANGUAGE plpgsql AS $$
BEGIN
    -- One job at a time for each content, or two could both find that nobody has it.
    PERFORM pg_advisory_xact_lock(hashtext('settle_content'), hashtext(p_sha256));
    PERFORM 1 FROM video_queue WHERE id = p_id AND lease_token = p_lease_token AND status = 'uploading' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT 'stored', f.repo, f.path
    FROM stored_file f
    WHERE f.sha256 = p_sha256 AND EXISTS (
        SELECT 1 FROM replica r JOIN storage_account a ON a.index = r.account_id
        WHERE r.stored_file_id = f.id AND a.enabled
    ) AND EXISTS (SELECT 1 FROM video_store s WHERE s.stored_file_id = f.id)
    ORDER BY f.created_at LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT 1 FROM video_queue q
        WHERE q.status = 'uploading' AND q.artifact ->> 'sha256' = p_sha256 AND q.id <> p_id
          AND (q.artifact ->> 'stores')::boolean
    ) THEN
        UPDATE video_queue
        SET stage = '', lease_token = NULL, lease_expires_at = NULL, speed = NULL, not_before = now() + interval '5 seconds'
        WHERE id = p_id;
        RETURN QUERY SELECT 'wait', NULL::text, NULL::text;
        RETURN;
    END IF;
    UPDATE video_queue SET artifact = artifact || '{"stores": true}' WHERE id = p_id;
    RETURN QUERY
    SELECT 'store', p_repo, CASE WHEN EXISTS (
        SELECT 1 FROM stored_file f
        JOIN video_store s ON s.stored_file_id = f.id
        JOIN video_queue q ON q.id = p_id
        WHERE f.repo = p_repo AND f.path = p_path AND f.sha256 <> p_sha256
          AND (s.mal_id, s.episode, s.provider, coalesce(s.resolution, ''))
           <> (q.mal_id, q.episode, q.provider, coalesce(q.resolution, ''))
    ) THEN regexp_replace(p_path, '(\.[^./]*)?$', '-' || left(p_sha256, 8) || '\1') ELSE p_path END;
END $$;
