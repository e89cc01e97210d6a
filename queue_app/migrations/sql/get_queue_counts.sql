-- How many jobs are in each status, and how many videos are archived. What is alive is counted by its partial index,
-- what has ended is the sum of a few rows: the cost does not grow with history.
CREATE OR REPLACE FUNCTION get_queue_counts() RETURNS TABLE (name text, n bigint)
LANGUAGE sql STABLE AS $$
    SELECT 'pending', count(*) FROM video_queue WHERE status = 'pending'
    UNION ALL
    SELECT w.status, count(q.status) FROM (VALUES ('downloading'), ('uploading')) w (status)
    LEFT JOIN (SELECT status FROM video_queue WHERE status IN ('downloading', 'uploading')) q ON q.status = w.status
    GROUP BY w.status
    UNION ALL
    SELECT e.name, coalesce(sum(t.n), 0)::bigint
    FROM (VALUES ('ready'), ('failed'), ('cancelled'), ('archived')) e (name)
    LEFT JOIN queue_total t ON t.name = e.name
    GROUP BY e.name
$$;
