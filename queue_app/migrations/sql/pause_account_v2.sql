DROP FUNCTION pause_account(integer, text);

-- Sends an account to rest: 1 minute, doubled with each pause since its last success, at most 1 hour. Where it said
-- itself for how long (p_seconds), that holds, up to a day, and makes a shorter rest longer. Pauses that several uploads
-- ask for at the same time are one. Returns until when.
CREATE OR REPLACE FUNCTION pause_account(p_account integer, p_reason text, p_seconds double precision DEFAULT NULL)
RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
    asked timestamptz := CASE WHEN p_seconds IS NOT NULL THEN
        now() + interval '1 second' * least(greatest(p_seconds, 1), 86400) END;
    until_ timestamptz;
BEGIN
    UPDATE storage_account
    SET pause_count = pause_count + 1, pause_reason = p_reason,
        paused_until = coalesce(asked, now() + least(interval '1 hour', interval '1 minute' * power(2, least(pause_count, 16))))
    WHERE index = p_account AND (paused_until IS NULL OR paused_until <= now() OR paused_until < asked);
    SELECT paused_until INTO until_ FROM storage_account WHERE index = p_account;
    RETURN until_;
END $$;
