-- Where a job's downloaded content is to lie, so that the same bytes from two sources are stored once. For the holder of
-- the lease; nothing when it was lost. The place is noted in the job's artifact for as long as it uploads.
--   stored   a confirmed copy of the content exists already: repo_ and path_ say where. What is missing is added there.
--   store    nobody has it: the caller stores it under repo_ and path_. That is its own name, unless under it lies, or is
--            being put, another content that another video has: then the name is told apart by the content.
--   wait     another job is storing it right now. This one has been put back, for that to end; no attempt is burnt.
CREATE OR REPLACE FUNCTION settle_content(p_id uuid, p_lease_token uuid, p_repo text, p_path text, p_sha256 text)
RETURNS TABLE (verdict text, repo_ text, path_ text)
LANGUAGE plpgsql AS $$
DECLARE
    job video_queue;
BEGIN
    -- One at a time: each verdict rests on what the other uploads were told.
    PERFORM pg_advisory_xact_lock(hashtext('settle_content'));
    SELECT * INTO job FROM video_queue q
    WHERE q.id = p_id AND q.lease_token = p_lease_token AND q.status = 'uploading' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT 1 FROM video_queue q
        WHERE q.status = 'uploading' AND q.artifact ->> 'sha256' = p_sha256 AND q.id <> p_id AND q.artifact ? 'place'
    ) THEN
        UPDATE video_queue
        SET stage = '', lease_token = NULL, lease_expires_at = NULL, speed = NULL, not_before = now() + interval '5 seconds'
        WHERE id = p_id;
        RETURN QUERY SELECT 'wait', NULL::text, NULL::text;
        RETURN;
    END IF;
    SELECT 'stored', f.repo, f.path INTO verdict, repo_, path_
    FROM stored_file f
    WHERE f.sha256 = p_sha256 AND EXISTS (
        SELECT 1 FROM replica r JOIN storage_account a ON a.index = r.account_id
        WHERE r.stored_file_id = f.id AND a.enabled
    ) AND EXISTS (SELECT 1 FROM video_store s WHERE s.stored_file_id = f.id)
      -- Not where another content is about to take its place.
      AND NOT EXISTS (
        SELECT 1 FROM video_queue q
        WHERE q.status = 'uploading' AND q.id <> p_id AND q.artifact -> 'place' = jsonb_build_array(f.repo, f.path)
    )
    ORDER BY f.created_at LIMIT 1;
    IF NOT FOUND THEN
        verdict := 'store';
        repo_ := p_repo;
        path_ := p_path;
        IF EXISTS (
            SELECT 1 FROM stored_file f JOIN video_store s ON s.stored_file_id = f.id
            WHERE f.repo = p_repo AND f.path = p_path AND f.sha256 <> p_sha256
              AND (s.mal_id, s.episode, s.provider, coalesce(s.resolution, ''))
               <> (job.mal_id, job.episode, job.provider, coalesce(job.resolution, ''))
        ) OR EXISTS (
            SELECT 1 FROM video_queue q
            WHERE q.status = 'uploading' AND q.id <> p_id AND q.artifact -> 'place' = jsonb_build_array(p_repo, p_path)
        ) THEN
            path_ := regexp_replace(p_path, '(\.[^./]*)?$', '-' || left(p_sha256, 8) || '\1');
        END IF;
    END IF;
    UPDATE video_queue SET artifact = artifact || jsonb_build_object('place', jsonb_build_array(repo_, path_))
    WHERE id = p_id;
    RETURN NEXT;
END $$;
