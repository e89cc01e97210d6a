-- Any host may call this: takes back jobs whose lease has run out, and downloaded files whose worker has been silent for
-- p_silence (their bytes lie on its disk, so they start again elsewhere). Out of attempts they fail. Returns how many.
CREATE OR REPLACE FUNCTION release_expired_leases(p_silence interval) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    released integer;
    reason constant text := 'The worker stopped answering: its lease ran out.';
BEGIN
    PERFORM set_config('reelkeep.reason', reason, true);
    WITH lost AS (
        SELECT q.id FROM video_queue q
        WHERE q.status IN ('downloading', 'uploading')
          AND (q.lease_expires_at < now()
               OR (q.lease_token IS NULL AND NOT EXISTS (
                       SELECT 1 FROM worker w
                       WHERE w.id = q.worker_id AND w.last_heartbeat > now() - p_silence)
                   AND q.updated_at < now() - p_silence))
        FOR UPDATE SKIP LOCKED
    )
    UPDATE video_queue q
    SET status = CASE WHEN attempt >= max_attempts THEN 'failed' ELSE 'pending' END,
        retry_count = retry_count + 1, error_message = reason, failure_class = 'internal',
        stage = '', speed = NULL, artifact = NULL, lease_token = NULL, lease_expires_at = NULL
    FROM lost WHERE q.id = lost.id;
    GET DIAGNOSTICS released = ROW_COUNT;
    PERFORM set_config('reelkeep.reason', '', true);
    RETURN released;
END $$;
