-- Gives a worker up to p_limit jobs of a lane, never more than leave it p_capacity at once, each under a fresh lease.
-- download: any due pending job. upload: what this worker itself has downloaded (the bytes lie on its disk).
-- The stage is 'claimed' until the first heartbeat says that the job has started.
-- The attempt is counted here, at the start of a download, so that an attempt that kills its worker counts too.
CREATE OR REPLACE FUNCTION claim_videos(
    p_lane text, p_worker_id text, p_capacity integer, p_limit integer, p_lease interval
) RETURNS SETOF video_queue
LANGUAGE plpgsql AS $$
DECLARE
    in_work integer;
    free integer;
BEGIN
    -- One claim at a time for each worker's lane, or two could fill the same free slot.
    PERFORM pg_advisory_xact_lock(hashtext('claim_videos ' || p_lane), hashtext(p_worker_id));
    SELECT count(*) INTO in_work FROM video_queue q
    WHERE q.worker_id = p_worker_id AND q.lease_token IS NOT NULL
      AND q.status = CASE p_lane WHEN 'download' THEN 'downloading' ELSE 'uploading' END;
    free := least(p_limit, p_capacity - in_work);
    IF free <= 0 THEN
        RETURN;
    END IF;
    IF p_lane = 'download' THEN
        RETURN QUERY
        WITH due AS (
            SELECT id FROM video_queue
            WHERE status = 'pending' AND (not_before IS NULL OR not_before <= now())
            ORDER BY priority DESC, created_at
            LIMIT free
            FOR UPDATE SKIP LOCKED
        )
        UPDATE video_queue q
        SET status = 'downloading', attempt = q.attempt + 1, not_before = NULL, stage = 'claimed',
            worker_id = p_worker_id, lease_token = gen_random_uuid(), lease_expires_at = now() + p_lease,
            bytes_done = 0, bytes_total = NULL, speed = NULL, artifact = NULL
        FROM due WHERE q.id = due.id
        RETURNING q.*;
    ELSIF p_lane = 'upload' THEN
        RETURN QUERY
        WITH due AS (
            SELECT id FROM video_queue
            WHERE status = 'uploading' AND worker_id = p_worker_id AND lease_token IS NULL
              AND (not_before IS NULL OR not_before <= now())
            ORDER BY priority DESC, created_at
            LIMIT free
            FOR UPDATE SKIP LOCKED
        )
        UPDATE video_queue q
        SET not_before = NULL, stage = 'claimed', lease_token = gen_random_uuid(),
            lease_expires_at = now() + p_lease, bytes_done = 0, bytes_total = NULL, speed = NULL
        FROM due WHERE q.id = due.id
        RETURNING q.*;
    ELSE
        RAISE EXCEPTION 'unknown lane %', p_lane;
    END IF;
END $$;
