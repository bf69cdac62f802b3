"""The commands for Azure ML; the names that MLproject has, with dashes."""

import os
import shlex
import tempfile
from pathlib import Path

import click

from yolo3.commands.errors import explain_errors

DEFAULTS = {"show_default": True}
FLAG = {  # what may stand alone on the command line, and has a value in MLproject
    "is_flag": False,
    "flag_value": "true",
    "default": "false",
    "type": click.Choice(["true", "false"]),
}


def _workspace_options(command):
    """Add the options that say which workspace is meant."""
    for option in reversed(
        (
            click.option("--subscription", default="", help="ID; AZURE_SUBSCRIPTION_ID if empty."),
            click.option(
                "--resource-group", default="", help="Name; AZURE_RESOURCE_GROUP if empty."
            ),
            click.option(
                "--workspace",
                default="",
                help="Name; AZURE_WORKSPACE, or config.json in this folder, if empty.",
            ),
        )
    ):
        command = option(command)
    return command


def _find_workspace(subscription: str, resource_group: str, workspace: str):
    from yolo3.deploy.workspace import find_workspace

    given = {"subscription": subscription, "resource_group": resource_group}
    return find_workspace(given | {"workspace": workspace}, os.environ, Path.cwd())


@click.command(context_settings=DEFAULTS)
@click.option("-m", "--model", required=True, help="MLflow model URI (runs:/…) or a folder.")
@click.option("-o", "--output", required=True, help="Folder to write.")
@click.option(
    "--picture",
    default="",
    help="Picture for the sample request; the model's own example if empty.",
)
@click.option("--force", **FLAG, help="Write into a folder that is not empty.")
@explain_errors
def azureml_export(model, output, picture, force):
    """Write a logged model as a folder that Azure ML takes, with a script that serves it."""
    from yolo3.deploy.package import export_package
    from yolo3.deploy.texts import SERVE

    found = Path(picture) if picture else None
    export_package(model, Path(output), force == "true", found)
    click.echo(f"{output}: serve it here with\n  cd {shlex.quote(output)} && {SERVE}")


@click.command(context_settings=DEFAULTS)
@click.option("-m", "--model", default="", help="MLflow model URI (runs:/…) or a folder.")
@click.option("--package", default="", help="Folder that azureml-export wrote, instead of a model.")
@click.option("-n", "--name", required=True, help="Name of the endpoint, unique in its region.")
@_workspace_options
@click.option("--instance-type", default="Standard_DS3_v2", help="Kind of machine.")
@click.option(
    "--instance-count",
    default=0,
    type=click.IntRange(0),
    help="Number of machines; 0: as many as serve now, 1 for a new endpoint.",
)
@click.option(
    "--traffic",
    default=100,
    type=click.IntRange(0, 100),
    help="Per cent of the endpoint's requests that the new deployment gets.",
)
@click.option(
    "--sdk",
    default="v2",
    type=click.Choice(["v2", "v1"]),
    help="v2: azure-ai-ml; v1: azureml-core, retired.",
)
@click.option("--dry-run", **FLAG, help="Print every resource without connecting to Azure.")
@explain_errors
def azureml_deploy(model, package, name, subscription, resource_group, workspace, **options):
    """Deploy a model to an Azure ML endpoint; traffic moves once it has answered.

    Costs money until azureml-delete.
    """
    if bool(model) == bool(package):
        raise click.UsageError("Give one of --model and --package.")
    if options["sdk"] == "v1":
        _refuse_what_v1_has_not(options)
    from yolo3.deploy.package import export_package, read_package

    where = None
    if options["dry_run"] != "true":
        where = _find_workspace(subscription, resource_group, workspace)
    with tempfile.TemporaryDirectory() as temporary:
        if model:
            exported = export_package(model, Path(temporary) / "package")
        else:
            exported = read_package(Path(package))
        _deploy(exported, where, name, **options)


def _refuse_what_v1_has_not(options):
    names = ("instance_type", "instance_count", "traffic")
    for option in click.get_current_context().command.params:
        if option.name in names and options[option.name] != option.default:
            told = f"{option.opts[0]} is for --sdk v2: v1 deploys to a container instance."
            raise click.UsageError(told)


def _deploy(package, where, name, sdk, dry_run, **options):
    if sdk == "v1":
        from yolo3.deploy import azure_v1

        azure_v1.deploy(package, where, name)
        return
    from yolo3.deploy import azure

    wish = azure.Wish(name, **options)
    if dry_run == "true":
        click.echo(azure.in_words(package, wish))
    else:
        azure.deploy(package, where, wish)


@click.command(context_settings=DEFAULTS)
@click.option("-n", "--name", required=True, help="Name of the endpoint.")
@click.option(
    "--deployment",
    default="",
    help="Only this one, blue or green, which must not take traffic; all if empty.",
)
@_workspace_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@explain_errors
def azureml_delete(name, deployment, subscription, resource_group, workspace, yes):
    """Delete an endpoint with all that it runs, or one deployment of it."""
    from yolo3.deploy import azure

    where = _find_workspace(subscription, resource_group, workspace)
    what = f"deployment {deployment} of {name}" if deployment else f"endpoint {name}"
    if not yes:
        click.confirm(f"Delete {what} in {where.workspace}?", abort=True)
    azure.delete(where, name, deployment)


@click.command(context_settings=DEFAULTS)
@click.option(
    "--parameters",
    default="",
    help="Parameters of the training, as in 'batch_size=8 fine_tune_epochs=40'.",
)
@click.option(
    "--data",
    default="",
    help="Folder to upload, or azureml: URI; {data} in the parameters stands for it.",
)
@click.option("--compute", default="cpu-cluster", help="Compute cluster or instance.")
@click.option("--experiment", default="keras-yolo", help="Experiment that the run is tracked in.")
@click.option("--output", default="", help="New folder that keeps the job's files.")
@_workspace_options
@click.option("--dry-run", **FLAG, help="Print the job without connecting to Azure.")
@explain_errors
def azureml_job(
    parameters, data, compute, experiment, output, subscription, resource_group, workspace, dry_run
):
    """Train on Azure ML compute, tracked in the workspace. Costs money while it runs."""
    from yolo3.deploy.job import parse_parameters, submit_job, write_job

    where = None
    if dry_run != "true":
        where = _find_workspace(subscription, resource_group, workspace)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(output or Path(temporary) / "job")
        place = str(Path(data).resolve()) if Path(data).is_dir() and data else data
        file = write_job(folder, parse_parameters(parameters), compute, experiment, place)
        if where is None:
            click.echo(file.read_text("utf-8"))
        else:
            submit_job(file, where)


COMMANDS = (azureml_export, azureml_deploy, azureml_delete, azureml_job)
