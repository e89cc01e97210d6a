-- Lets go of what begin_import took in hand and could not be stored: the job is again what it was before, or gone if there
-- was none. False when the caller no longer has it.
CREATE OR REPLACE FUNCTION end_import(p_id uuid, p_lease_token uuid, p_worker text, p_before text, p_reason text)
RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    PERFORM set_config('reelkeep.actor', p_worker, true), set_config('reelkeep.reason', p_reason, true);
    IF p_before IS NULL THEN
        DELETE FROM video_queue
        WHERE id = p_id AND status = 'uploading' AND worker_id = p_worker
          AND (lease_token = p_lease_token OR lease_token IS NULL);
    ELSE
        UPDATE video_queue
        SET status = p_before, artifact = NULL, stage = '', speed = NULL, lease_token = NULL, lease_expires_at = NULL,
            not_before = NULL
        WHERE id = p_id AND status = 'uploading' AND worker_id = p_worker
          AND (lease_token = p_lease_token OR lease_token IS NULL);
    END IF;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true);
    RETURN changed = 1;
END $$;
