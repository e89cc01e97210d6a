-- Gives a worker up to p_limit jobs of a lane, never more than leave it p_capacity at once, each under a fresh lease.
-- download: any due pending job whose source host does not rest, by priority, then in turns. upload: what this worker
-- itself has downloaded (the bytes lie on its disk). A draining worker gets nothing new to download; a paused one neither.
-- The stage is 'claimed' until start_video says that the job has started; p_started: the caller has the process for it.
-- The attempt is counted here, at the start of a download, so that an attempt that kills its worker counts too.
CREATE OR REPLACE FUNCTION claim_videos(
    p_lane text, p_worker_id text, p_capacity integer, p_limit integer, p_lease interval,
    p_started boolean DEFAULT false
) RETURNS SETOF video_queue
LANGUAGE plpgsql
-- Plans are kept with the connection: no statistics of a table that was small a moment ago may choose to read it all.
SET enable_seqscan = off AS $$
DECLARE
    lane_status text := CASE p_lane WHEN 'download' THEN 'downloading' WHEN 'upload' THEN 'uploading' END;
    stage_ text := CASE WHEN p_started THEN p_lane ELSE 'claimed' END;
    in_work integer;
    free integer;
BEGIN
    IF lane_status IS NULL THEN
        RAISE EXCEPTION 'unknown lane %', p_lane;
    END IF;
    -- A claim that a crash of the database loses was never made: its token fits nothing, and the job is claimed again.
    -- Nothing of the job is lost that way, so its commit need not wait for the disk. The end of the job does.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- One claim at a time for each worker's lane, or two could fill the same free slot.
    PERFORM pg_advisory_xact_lock(hashtext('claim_videos ' || p_lane), hashtext(p_worker_id));
    SELECT count(*) INTO in_work FROM video_queue q
    WHERE q.worker_id = p_worker_id AND q.lease_token IS NOT NULL AND q.status = lane_status;
    free := least(p_limit, p_capacity - in_work);
    IF free <= 0 THEN
        RETURN;
    END IF;
    IF p_lane = 'upload' THEN
        RETURN QUERY
        WITH due AS (
            SELECT q.id FROM video_queue q
            WHERE q.status = 'uploading' AND q.worker_id = p_worker_id AND q.lease_token IS NULL
              AND (q.not_before IS NULL OR q.not_before <= now())
            ORDER BY q.priority DESC, q.turn, q.created_at
            LIMIT free
            FOR UPDATE SKIP LOCKED
        )
        UPDATE video_queue q
        SET not_before = NULL, stage = stage_, claimed_at = now(), lease_token = gen_random_uuid(),
            lease_expires_at = now() + p_lease, bytes_done = 0, bytes_total = NULL, speed = NULL
        FROM due WHERE q.id = due.id
        RETURNING q.*;
        RETURN;
    END IF;
    IF EXISTS (SELECT 1 FROM worker w WHERE w.id = p_worker_id AND (w.draining OR w.paused_until > now())) THEN
        RETURN;
    END IF;
    -- Hosts with a limit are counted exactly: their rows are locked, and jobs are taken one by one. (A constant LIMIT
    -- also lets the plan be kept: with a variable one it is made anew for each call, which costs more than the claim.)
    PERFORM 1 FROM source_host h WHERE h.max_concurrent IS NOT NULL OR h.failures >= 5 ORDER BY h.host FOR UPDATE;
    WHILE free > 0 LOOP
        RETURN QUERY
        WITH closed AS MATERIALIZED (
            SELECT h.host FROM source_host h
            WHERE h.paused_until > now()
               OR (SELECT count(*) FROM video_queue a WHERE a.status = 'downloading' AND a.source_host = h.host)
                  >= CASE WHEN h.failures >= 5 THEN 1 ELSE h.max_concurrent END
        ), due AS (
            SELECT q.id FROM video_queue q
            WHERE q.status = 'pending' AND (q.not_before IS NULL OR q.not_before <= now())
              AND q.source_host NOT IN (SELECT host FROM closed)
            ORDER BY q.priority DESC, q.turn, q.created_at
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE video_queue q
        SET status = 'downloading', attempt = q.attempt + 1, not_before = NULL, stage = stage_,
            worker_id = p_worker_id, claimed_at = now(), lease_token = gen_random_uuid(),
            lease_expires_at = now() + p_lease, bytes_done = 0, bytes_total = NULL, speed = NULL, artifact = NULL
        FROM due WHERE q.id = due.id
        RETURNING q.*;
        EXIT WHEN NOT FOUND;
        free := free - 1;
    END LOOP;
END $$;
