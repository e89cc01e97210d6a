-- Ends every lease that this worker holds: a download goes back to pending, an upload waits in the lane with its file.
-- p_charge false gives the attempt back (a shutdown is not the job's fault); true keeps it counted (the worker died,
-- perhaps of this very job): out of attempts it fails. Returns how many were given back.
CREATE OR REPLACE FUNCTION release_worker_videos(p_worker_id text, p_reason text, p_charge boolean) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    released integer;
BEGIN
    PERFORM set_config('reelkeep.reason', p_reason, true);
    UPDATE video_queue
    SET status = CASE
            WHEN p_charge AND attempt >= max_attempts THEN 'failed'
            WHEN status = 'uploading' THEN 'uploading'
            ELSE 'pending' END,
        attempt = CASE
            WHEN status = 'uploading' THEN least(attempt + CASE WHEN p_charge THEN 1 ELSE 0 END, max_attempts)
            WHEN p_charge THEN attempt
            ELSE greatest(attempt - 1, 0) END,
        retry_count = retry_count + CASE WHEN p_charge THEN 1 ELSE 0 END,
        error_message = CASE WHEN p_charge THEN p_reason ELSE error_message END,
        failure_class = CASE WHEN p_charge THEN 'internal' ELSE failure_class END,
        stage = '', speed = NULL, lease_token = NULL, lease_expires_at = NULL
    WHERE worker_id = p_worker_id AND status IN ('downloading', 'uploading') AND lease_token IS NOT NULL;
    GET DIAGNOSTICS released = ROW_COUNT;
    PERFORM set_config('reelkeep.reason', '', true);
    RETURN released;
END $$;
