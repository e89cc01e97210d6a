-- Keeps updated_at at the last status change, and wakes the workers: either there is something new to do, or a slot is free.
CREATE OR REPLACE FUNCTION stamp_video_queue() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        NEW.updated_at := now();
    END IF;
    IF NEW.status <> 'downloading' THEN
        PERFORM pg_notify('video_queue', NEW.status);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER video_queue_stamp_insert BEFORE INSERT ON video_queue
    FOR EACH ROW EXECUTE FUNCTION stamp_video_queue();
CREATE TRIGGER video_queue_stamp_update BEFORE UPDATE OF status ON video_queue
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION stamp_video_queue();
