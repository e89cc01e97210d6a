-- CONTRACT §1.1: one row per worker.
CREATE OR REPLACE FUNCTION get_worker_stats()
RETURNS TABLE (id text, host text, active_jobs bigint, done bigint, failed bigint, last_heartbeat timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT w.id, w.host,
           (SELECT count(*) FROM video_queue q
            WHERE q.worker_id = w.id AND q.status IN ('downloading', 'uploading') AND q.lease_token IS NOT NULL),
           w.done, w.failed, w.last_heartbeat
    FROM worker w
    ORDER BY w.id
$$;
