from django.db import migrations

from queue_app.migrations._sql import run_function, run_replacement


class Migration(migrations.Migration):

    dependencies = [
        ('queue_app', '0004_sources_and_details'), ('storage_app', '0003_accounts_placement_and_upkeep'),
    ]

    operations = [
        run_replacement("pause_account_v2"),
        run_replacement("wake_account_v2"),
        run_replacement("fail_video_v3"),
        run_replacement("record_replica_v3"),
        run_replacement("publish_video_v3"),
        run_function("reserve_storage"),
        run_function("end_reservation"),
    ]
