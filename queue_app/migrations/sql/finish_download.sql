-- Hands a downloaded, proven file to the upload lane of the same worker. False when the lease is not the caller's.
CREATE OR REPLACE FUNCTION finish_download(p_id uuid, p_lease_token uuid, p_artifact jsonb) RETURNS boolean
LANGUAGE sql AS $$
    WITH moved AS (
        UPDATE video_queue
        SET status = 'uploading', stage = '', artifact = p_artifact, lease_token = NULL, lease_expires_at = NULL,
            speed = NULL
        WHERE id = p_id AND lease_token = p_lease_token AND status = 'downloading'
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM moved)
$$;
