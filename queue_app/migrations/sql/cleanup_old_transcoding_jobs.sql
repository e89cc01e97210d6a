-- CONTRACT §1.1: removes media jobs that ended longer than p_keep ago. Returns how many.
CREATE OR REPLACE FUNCTION cleanup_old_transcoding_jobs(p_keep interval DEFAULT interval '30 days') RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM media_job
    WHERE status IN ('completed', 'failed', 'cancelled') AND completed_at < now() - p_keep;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END $$;
