-- Keeps updated_at at the last status change and source_host in step with the URL, and wakes the lane that has something
-- new to do. A slot that becomes free wakes nobody: its process looks for the next job itself (next_job.py). Only a
-- source host with a limit may have kept other workers waiting.
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
    IF NEW.status = 'uploading' THEN
        PERFORM pg_notify('video_queue_upload', '');
    END IF;
    IF NEW.status = 'pending' OR TG_OP = 'UPDATE' AND OLD.status = 'downloading' AND EXISTS (
        SELECT 1 FROM source_host h
        WHERE h.host = NEW.source_host AND (h.max_concurrent IS NOT NULL OR h.failures >= 5))
    THEN
        PERFORM pg_notify('video_queue_download', '');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER video_queue_stamp BEFORE INSERT OR UPDATE OF status, video_url ON video_queue
    FOR EACH ROW EXECUTE FUNCTION stamp_video_queue();
