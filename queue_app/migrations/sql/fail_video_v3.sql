-- Ends an attempt that failed, by the class of its failure:
--   p_account given  the account is paused (1 min, doubled up to 1 h, until it takes a copy again); the upload waits for
--                    it with its file. No attempt is burnt.
--   disk_full        this worker takes no downloads for 5 min; the job may go elsewhere at once. No attempt is burnt.
--   storage_full     without an account: none has room. The job waits about 10 min for some. No attempt is burnt.
--   permanent, or out of attempts: failed.
--   else             again after a growing wait with full jitter: up to 10 s, 20 s, 40 s, … at most 30 min. An upload
--                    keeps its downloaded file, unless that is lost (p_artifact_lost): then it is downloaded again.
-- A transient failure of a download also counts against its source host: from the fifth in a row the host rests.
-- p_details is kept with the event: what ffmpeg and others said.
-- Returns the new status, or NULL when the lease is not the caller's.
CREATE OR REPLACE FUNCTION fail_video(
    p_id uuid, p_lease_token uuid, p_failure_class text, p_error text, p_permanent boolean,
    p_artifact_lost boolean DEFAULT false, p_account integer DEFAULT NULL, p_details text DEFAULT ''
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    job video_queue;
    next_status text;
    burnt boolean := p_account IS NULL AND p_failure_class NOT IN ('disk_full', 'storage_full');
    wait_until timestamptz;
BEGIN
    SELECT * INTO job FROM video_queue WHERE id = p_id AND lease_token = p_lease_token FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    next_status := CASE
        WHEN p_permanent OR (burnt AND job.attempt >= job.max_attempts) THEN 'failed'
        WHEN job.status = 'uploading' AND NOT p_artifact_lost THEN 'uploading'
        ELSE 'pending' END;
    IF p_account IS NOT NULL THEN
        wait_until := pause_account(p_account, p_error);
    ELSIF p_failure_class = 'disk_full' THEN
        UPDATE worker SET paused_until = now() + interval '5 minutes', pause_reason = p_error
        WHERE id = job.worker_id;
        IF next_status = 'uploading' THEN
            wait_until := now() + interval '5 minutes';
        END IF;
    ELSIF p_failure_class = 'storage_full' THEN
        wait_until := now() + interval '10 minutes' * (0.75 + random() / 2);
    ELSE
        wait_until := now() + random()
            * least(interval '30 minutes', interval '5 seconds' * power(2, least(job.attempt, 16)));
        IF p_failure_class = 'transient' AND job.status = 'downloading' THEN
            PERFORM strike_source_host(job.source_host);
        END IF;
    END IF;
    PERFORM set_config('reelkeep.details', p_details, true);
    UPDATE video_queue
    SET status = next_status, retry_count = retry_count + 1, error_message = p_error,
        failure_class = p_failure_class, stage = '', speed = NULL,
        artifact = CASE WHEN next_status = 'uploading' THEN artifact END,
        -- A download's attempt was counted at its claim, an upload's is counted here.
        attempt = attempt + CASE
            WHEN burnt AND next_status = 'uploading' THEN 1
            WHEN NOT burnt AND job.status = 'downloading' THEN -1
            ELSE 0 END,
        lease_token = NULL, lease_expires_at = NULL,
        not_before = CASE WHEN next_status <> 'failed' THEN wait_until END
    WHERE id = p_id;
    PERFORM set_config('reelkeep.details', '', true);
    IF next_status = 'failed' THEN
        UPDATE worker SET failed = failed + 1 WHERE id = job.worker_id;
    END IF;
    RETURN next_status;
END $$;
