from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Looks at every sidecar under a lock that lets others read and write."""

    atomic = False

    dependencies = [
        ("storage_app", "0005_storyboard"),
    ]

    operations = [
        ValidateConstraint(model_name="sidecar", name="sidecar_kind_known"),
    ]
