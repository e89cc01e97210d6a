-- Keeps updated_at at the last status change and source_host in step with the URL, and wakes the workers: either there
-- is something new to do, or a slot is free.
CREATE OR REPLACE FUNCTION stamp_video_queue() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.source_host := coalesce(lower(substring(NEW.video_url FROM '(?i)^https?://(?:[^/?#@]*@)?([^/?#]+)')), '');
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = OLD.status THEN
            RETURN NEW;
        END IF;
        NEW.updated_at := now();
    END IF;
    IF NEW.status <> 'downloading' THEN
        PERFORM pg_notify('video_queue', NEW.status);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER video_queue_stamp BEFORE INSERT OR UPDATE OF status, video_url ON video_queue
    FOR EACH ROW EXECUTE FUNCTION stamp_video_queue();
