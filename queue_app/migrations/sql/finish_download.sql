-- Hands a downloaded, proven file to the upload lane of the same worker; its source host is well again. False when the lease is not the caller's.
CREATE OR REPLACE FUNCTION finish_download(p_id uuid, p_lease_token uuid, p_artifact jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    host_ text;
BEGIN
    UPDATE video_queue
    SET status = 'uploading', stage = '', artifact = p_artifact, lease_token = NULL, lease_expires_at = NULL,
        bytes_done = (p_artifact ->> 'size')::bigint, speed = NULL
    WHERE id = p_id AND lease_token = p_lease_token AND status = 'downloading'
    RETURNING source_host INTO host_;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE source_host SET failures = 0, paused_until = NULL, updated_at = now()
    WHERE host = host_ AND (failures > 0 OR paused_until IS NOT NULL);
    RETURN true;
END $$;
