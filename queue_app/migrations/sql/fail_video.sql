-- Ends an attempt that failed. Permanent, or out of attempts: failed. Else back to pending after a growing wait with full
-- jitter: up to 10 s, 20 s, 40 s, … at most 30 min. An upload that failed keeps its downloaded file and waits in the upload
-- lane, unless that file is lost (p_artifact_lost): then it is downloaded again. Returns the new status, or NULL when the lease is not the caller's.
CREATE OR REPLACE FUNCTION fail_video(
    p_id uuid, p_lease_token uuid, p_failure_class text, p_error text, p_permanent boolean,
    p_artifact_lost boolean DEFAULT false
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    job video_queue;
    next_status text;
BEGIN
    SELECT * INTO job FROM video_queue WHERE id = p_id AND lease_token = p_lease_token FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    next_status := CASE
        WHEN p_permanent OR job.attempt >= job.max_attempts THEN 'failed'
        WHEN job.status = 'uploading' AND NOT p_artifact_lost THEN 'uploading'
        ELSE 'pending' END;
    UPDATE video_queue
    SET status = next_status, retry_count = retry_count + 1, error_message = p_error,
        failure_class = p_failure_class, stage = '', speed = NULL,
        artifact = CASE WHEN next_status = 'uploading' THEN artifact END,
        attempt = attempt + CASE WHEN next_status = 'uploading' THEN 1 ELSE 0 END,
        lease_token = NULL, lease_expires_at = NULL,
        not_before = CASE WHEN next_status <> 'failed' THEN
            now() + random() * least(interval '30 minutes', interval '5 seconds' * power(2, least(job.attempt, 16))) END
    WHERE id = p_id;
    IF next_status = 'failed' THEN
        UPDATE worker SET failed = failed + 1 WHERE id = job.worker_id;
    END IF;
    RETURN next_status;
END $$;
