-- CONTRACT §1.1, for workers that are not ours and never renew a lease. They get six hours: after that, without a
-- status from them, the job goes back to pending. Our own workers use claim_videos.
CREATE OR REPLACE FUNCTION claim_pending_videos(p_limit integer) RETURNS SETOF video_queue
LANGUAGE sql AS $$
    WITH due AS (
        SELECT id FROM video_queue
        WHERE status = 'pending' AND (not_before IS NULL OR not_before <= now())
        ORDER BY priority DESC, created_at
        LIMIT greatest(p_limit, 0)
        FOR UPDATE SKIP LOCKED
    ), claimed AS (
        UPDATE video_queue q
        SET status = 'downloading', claimed_at = now(), attempt = q.attempt + 1, not_before = NULL, stage = '',
            worker_id = coalesce(nullif(current_setting('application_name'), ''), 'sql client'),
            lease_token = gen_random_uuid(), lease_expires_at = now() + interval '6 hours',
            bytes_done = 0, bytes_total = NULL, speed = NULL
        FROM due WHERE q.id = due.id
        RETURNING q.*
    )
    SELECT * FROM claimed ORDER BY priority DESC, created_at
$$;
