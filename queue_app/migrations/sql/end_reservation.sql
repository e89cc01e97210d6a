-- A job's reservation ends with its work, whatever ended that: ready, failed, cancelled, or back to waiting.
CREATE OR REPLACE FUNCTION end_reservation() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM storage_reservation WHERE job = OLD.id;
    RETURN NULL;
END $$;

CREATE TRIGGER video_queue_end_reservation AFTER UPDATE OF status ON video_queue
    FOR EACH ROW WHEN (
        OLD.status IN ('downloading', 'uploading') AND NEW.status NOT IN ('downloading', 'uploading')
    ) EXECUTE FUNCTION end_reservation();

CREATE TRIGGER video_queue_gone_reservation AFTER DELETE ON video_queue
    FOR EACH ROW WHEN (OLD.status IN ('downloading', 'uploading')) EXECUTE FUNCTION end_reservation();
