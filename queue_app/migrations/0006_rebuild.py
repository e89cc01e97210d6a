from django.db import migrations

from queue_app.migrations._sql import run_function


class Migration(migrations.Migration):

    dependencies = [
        ('queue_app', '0005_several_accounts'),
    ]

    operations = [
        run_function("restore_videos"),
        run_function("begin_import"),
        run_function("end_import"),
        run_function("forget_deleted_video"),
    ]
