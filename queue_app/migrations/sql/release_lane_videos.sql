-- For a supervisor that has killed all processes of one of its lanes: ends every lease of that lane. A job that had not
-- started gets its attempt back. One that had keeps it counted (perhaps it is what broke the lane): out of attempts it
-- fails. Downloads go back to pending, uploads wait in the lane with their file. Returns how many were given back.
CREATE OR REPLACE FUNCTION release_lane_videos(p_worker_id text, p_lane text, p_reason text) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    released integer;
BEGIN
    PERFORM set_config('reelkeep.reason', p_reason, true);
    UPDATE video_queue
    SET status = CASE
            WHEN stage <> 'claimed' AND attempt >= max_attempts THEN 'failed'
            WHEN status = 'uploading' THEN 'uploading'
            ELSE 'pending' END,
        attempt = CASE
            WHEN stage = 'claimed' AND status = 'downloading' THEN greatest(attempt - 1, 0)
            WHEN stage <> 'claimed' AND status = 'uploading' THEN least(attempt + 1, max_attempts)
            ELSE attempt END,
        retry_count = retry_count + CASE WHEN stage <> 'claimed' THEN 1 ELSE 0 END,
        error_message = CASE WHEN stage <> 'claimed' THEN p_reason ELSE error_message END,
        failure_class = CASE WHEN stage <> 'claimed' THEN 'internal' ELSE failure_class END,
        stage = '', speed = NULL, lease_token = NULL, lease_expires_at = NULL
    WHERE worker_id = p_worker_id AND lease_token IS NOT NULL
      AND status = CASE p_lane WHEN 'download' THEN 'downloading' ELSE 'uploading' END;
    GET DIAGNOSTICS released = ROW_COUNT;
    PERFORM set_config('reelkeep.reason', '', true);
    RETURN released;
END $$;
