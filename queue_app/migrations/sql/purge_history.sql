-- Removes up to p_batch events older than p_events, and up to p_batch jobs that ended longer than p_ended ago (NULL: none
-- of them). What is archived stays. Returns how many rows went; call again while that is not 0.
CREATE OR REPLACE FUNCTION purge_history(p_events interval, p_ended interval, p_batch integer DEFAULT 1000)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    gone integer;
    gone_jobs integer := 0;
BEGIN
    DELETE FROM job_event WHERE id IN (
        SELECT e.id FROM job_event e WHERE e.at < now() - p_events ORDER BY e.id LIMIT p_batch FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS gone = ROW_COUNT;
    IF p_ended IS NOT NULL THEN
        WITH ended AS (
            SELECT q.id FROM video_queue q
            WHERE q.status IN ('ready', 'failed', 'cancelled') AND q.updated_at < now() - p_ended
            LIMIT p_batch FOR UPDATE SKIP LOCKED
        ), events AS (
            DELETE FROM job_event e USING ended WHERE e.job_id = ended.id
        )
        DELETE FROM video_queue q USING ended WHERE q.id = ended.id;
        GET DIAGNOSTICS gone_jobs = ROW_COUNT;
    END IF;
    RETURN gone + gone_jobs;
END $$;
