from django.db import migrations

from queue_app.migrations._sql import run_function, run_sql


class Migration(migrations.Migration):
    dependencies = [("queue_app", "0001_tables"), ("storage_app", "0001_tables")]

    operations = [
        run_function("record_job_event"),
        run_function("stamp_video_queue"),
        run_function("count_ended"),
        run_function("fold_queue_totals"),
        run_function("get_queue_counts"),
        run_function("next_turn"),
        run_function("enqueue_video"),
        run_function("claim_pending_videos"),
        run_function("claim_videos"),
        run_function("start_video"),
        run_function("heartbeat_video"),
        run_function("finish_download"),
        run_function("upsert_video_store"),
        run_function("record_replica"),
        run_function("publish_video"),
        run_function("pause_account"),
        run_function("strike_source_host"),
        run_function("fail_video"),
        run_function("cancel_videos"),
        run_function("purge_history"),
        run_function("release_worker_videos"),
        run_function("release_lane_videos"),
        run_function("release_expired_leases"),
        run_function("update_video_queue_status"),
        run_function("reset_videos"),
        run_function("get_worker_stats"),
        run_function("cleanup_old_transcoding_jobs"),
        run_sql("job_event_cascade", migrations.RunSQL.noop),
        run_sql("transcoding_views", "DROP VIEW active_transcoding_jobs; DROP VIEW transcoding_history"),
    ]
