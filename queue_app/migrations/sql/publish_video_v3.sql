-- The fenced end of a job: stores the result by upsert_video_store, ties it to its stored file, drops contents that no
-- longer lie anywhere (and what was to be done with them), and counts it for the worker. p_sidecars: objects of
-- stored_file, kind, language and name; they take the place of those that the video had. Uploads that wait for this very
-- content go on at once. False when the lease is not the caller's.
CREATE OR REPLACE FUNCTION publish_video(
    p_id uuid, p_lease_token uuid, p_stored_file uuid, p_file_key text, p_hf_account integer,
    p_hf_repo text, p_hf_direct_url text, p_stream_url text,
    p_title text DEFAULT '', p_sidecars jsonb DEFAULT '[]'
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    job video_queue;
    stored video_store;
    file stored_file;
    formers uuid[];
BEGIN
    SELECT * INTO job FROM video_queue
    WHERE id = p_id AND lease_token = p_lease_token AND status = 'uploading' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT * INTO STRICT file FROM stored_file WHERE id = p_stored_file;
    stored := upsert_video_store(
        job.mal_id, job.episode, job.provider, job.resolution, p_file_key, p_hf_account, p_hf_repo, file.path,
        p_hf_direct_url, p_stream_url
    );
    UPDATE video_store SET stored_file_id = file.id, title = p_title WHERE id = stored.id;
    WITH former AS (DELETE FROM sidecar WHERE video_id = stored.id RETURNING stored_file_id)
    SELECT array_agg(stored_file_id) INTO formers FROM former;
    INSERT INTO sidecar (video_id, stored_file_id, kind, language, name)
    SELECT stored.id, (s ->> 'stored_file')::uuid, s ->> 'kind', coalesce(s ->> 'language', ''), s ->> 'name'
    FROM jsonb_array_elements(p_sidecars) s;
    WITH places AS (
        SELECT repo, path FROM stored_file
        WHERE id = file.id OR id IN (SELECT stored_file_id FROM sidecar WHERE video_id = stored.id)
    ), doomed AS (
        SELECT f.id FROM stored_file f
        WHERE (f.id = ANY (formers) OR (f.repo, f.path) IN (SELECT repo, path FROM places)) AND f.id <> file.id
          AND NOT EXISTS (SELECT 1 FROM sidecar s WHERE s.stored_file_id = f.id)
          AND NOT EXISTS (SELECT 1 FROM replica r WHERE r.stored_file_id = f.id)
          AND NOT EXISTS (SELECT 1 FROM video_store s WHERE s.stored_file_id = f.id)
    ), undone AS (
        DELETE FROM storage_task t USING doomed d WHERE t.stored_file_id = d.id
    )
    DELETE FROM stored_file f USING doomed d WHERE f.id = d.id;
    UPDATE video_queue SET not_before = NULL
    WHERE status = 'uploading' AND lease_token IS NULL AND artifact ->> 'sha256' = file.sha256;
    IF FOUND THEN
        PERFORM pg_notify('video_queue_upload', '');
    END IF;
    UPDATE worker SET done = done + 1 WHERE id = job.worker_id;
    RETURN true;
END $$;
