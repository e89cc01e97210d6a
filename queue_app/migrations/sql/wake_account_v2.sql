-- Uploads that wait for a paused account go on at once when the pause is ended early: by an operator, or because
-- another upload has just got through (record_replica).
CREATE OR REPLACE FUNCTION wake_account() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE video_queue SET not_before = NULL WHERE status = 'uploading' AND not_before = OLD.paused_until;
    IF FOUND THEN
        PERFORM pg_notify('video_queue_upload', '');
    END IF;
    RETURN NULL;
END $$;
