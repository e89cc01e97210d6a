DROP FUNCTION record_replica(uuid, uuid, integer, text, text, text, bigint, double precision, jsonb, jsonb, text);

-- Writes down a confirmed copy, for the holder of the lease only. The copy took the place of whatever other content lay
-- at that path on that account, so those rows go, and nobody is to make further copies of such a content there. The
-- account's figures follow, until it is measured again; what the job had reserved on it is taken up now.
-- p_copies_wanted: by the placement policy. Returns the stored file's id, or NULL when the lease is not the caller's.
CREATE OR REPLACE FUNCTION record_replica(
    p_id uuid, p_lease_token uuid, p_account integer,
    p_repo text, p_path text, p_sha256 text, p_size bigint, p_duration double precision, p_media jsonb,
    p_proof jsonb DEFAULT NULL, p_content_type text DEFAULT 'video/mp4',
    p_etag text DEFAULT '', p_copies_wanted integer DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    file_id uuid;
    is_new boolean;
BEGIN
    PERFORM 1 FROM video_queue WHERE id = p_id AND lease_token = p_lease_token FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    INSERT INTO stored_file AS f (repo, path, sha256, size, duration, media, proof, content_type, copies_wanted)
    VALUES (p_repo, p_path, p_sha256, p_size, p_duration, p_media, p_proof, p_content_type, p_copies_wanted)
    ON CONFLICT ON CONSTRAINT stored_file_content DO UPDATE
        SET media = excluded.media, proof = coalesce(excluded.proof, f.proof),
            copies_wanted = coalesce(excluded.copies_wanted, f.copies_wanted)
    RETURNING f.id INTO file_id;
    DELETE FROM replica r USING stored_file f
    WHERE r.stored_file_id = f.id AND r.account_id = p_account
      AND f.repo = p_repo AND f.path = p_path AND f.id <> file_id;
    DELETE FROM storage_task t USING stored_file f
    WHERE t.stored_file_id = f.id AND t.kind = 'replicate'
      AND f.repo = p_repo AND f.path = p_path AND f.id <> file_id;
    is_new := NOT EXISTS (SELECT 1 FROM replica WHERE stored_file_id = file_id AND account_id = p_account);
    INSERT INTO replica (stored_file_id, account_id, etag) VALUES (file_id, p_account, p_etag)
    ON CONFLICT ON CONSTRAINT replica_one_per_account DO UPDATE SET verified_at = now(), etag = excluded.etag;
    IF is_new THEN
        UPDATE storage_account
        SET used_bytes = coalesce(used_bytes, 0) + p_size,
            free_bytes = CASE WHEN free_bytes IS NOT NULL THEN greatest(free_bytes - p_size, 0) END
        WHERE index = p_account;
    END IF;
    DELETE FROM storage_reservation WHERE job = p_id AND account_id = p_account;
    UPDATE storage_account SET pause_count = 0, paused_until = NULL, pause_reason = ''
    WHERE index = p_account AND pause_count > 0;
    RETURN file_id;
END $$;
