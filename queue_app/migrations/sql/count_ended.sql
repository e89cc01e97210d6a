-- Appends the changes of the totals of ended jobs and of archived videos. Appending takes no lock that another writer
-- could wait for; fold_queue_totals keeps the table small.
CREATE OR REPLACE FUNCTION count_ended() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    ended constant text[] := ARRAY['ready', 'failed', 'cancelled'];
BEGIN
    IF TG_TABLE_NAME = 'video_store' THEN
        INSERT INTO queue_total (name, n) VALUES ('archived', CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END);
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' AND OLD.status = ANY (ended) THEN
        INSERT INTO queue_total (name, n) VALUES (OLD.status, -1);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status = ANY (ended) THEN
        INSERT INTO queue_total (name, n) VALUES (NEW.status, 1);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER video_queue_count AFTER INSERT OR DELETE ON video_queue
    FOR EACH ROW EXECUTE FUNCTION count_ended();
CREATE TRIGGER video_queue_count_update AFTER UPDATE OF status ON video_queue
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION count_ended();
CREATE TRIGGER video_store_count AFTER INSERT OR DELETE ON video_store
    FOR EACH ROW EXECUTE FUNCTION count_ended();
