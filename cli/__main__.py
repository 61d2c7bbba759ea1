"""The commands of `pinion` and their options.

Each command's work stands in the module of its name, loaded only when it is wanted: --help has to be quick.
"""

import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from cli.failure import Failure, explain
from cli.home import PROJECT
from cli.model_commands import app as model_app
from cli.options import ServerUrl
from cli.webhook_commands import app as webhook_app

app = typer.Typer(
    name="pinion",
    help="Your own Replicate: models behind Replicate's HTTP API on your own machines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

account_app = typer.Typer(no_args_is_help=True, help="Who may use this installation; works on its database.")
token_app = typer.Typer(no_args_is_help=True, help="What speaks for an account; works on the database.")
app.add_typer(account_app, name="account")
app.add_typer(token_app, name="token")
collection_app = typer.Typer(no_args_is_help=True, help="Models that belong together; works on the database.")
app.add_typer(collection_app, name="collection")

app.add_typer(model_app, name="model")
app.add_typer(webhook_app, name="webhook")


@app.command()
def up(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the services' logs.")] = False) -> None:
    """Start everything on this machine, until Ctrl-C."""
    from cli.up import up

    up(is_verbose=verbose)


@app.command()
def push(
    source: Annotated[str, typer.Argument(help="The model's folder, with its cog.yaml; or hf:org/model.")],
    model: Annotated[str, typer.Argument(help="Under which name, as owner/name.")],
    task: Annotated[str | None, typer.Option(help="What a model of the Hub is for, if it does not say.")] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Serve the folder where it lies, on this machine, instead of a copy.")
    ] = False,
    is_public: Annotated[
        bool | None,
        typer.Option(
            "--public/--private", help="Whether every account may run it.", show_default="as it is; a new one private"
        ),
    ] = None,
    url: ServerUrl = None,
) -> None:
    """Send a model's folder, or a model of the Hugging Face Hub, and have a version of it built."""
    from cli.push import push

    visibility = None if is_public is None else "public" if is_public else "private"
    push(source, model, url, task, visibility, is_link=link)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write it; made if it is not there.")] = Path("."),
) -> None:
    """Write a model to begin with, ready to be pushed."""
    from cli.init import init

    init(folder)


@app.command()
def doctor() -> None:
    """Look whether this machine has what Pinion needs, and say what to do about the rest."""
    from cli.doctor import doctor

    doctor()


@app.command()
def run(
    model: Annotated[str, typer.Argument(help="owner/name, or owner/name:version.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="key=value; key=@file takes a file's content.")
    ] = None,
    document: Annotated[str | None, typer.Option("--json", help="File with the whole input; - for stdin.")] = None,
    url: ServerUrl = None,
) -> None:
    """Run a model once and show its output while it comes."""
    from cli.run import run

    run(model, inputs or [], document, url)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="What to begin with: owner/name, or owner/name:version.")],
    destination: Annotated[str, typer.Option(help="The model of yours that gets the new version: owner/name.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", help="key=value; key=@file takes a file's content.")
    ] = None,
    document: Annotated[str | None, typer.Option("--json", help="File with the whole input; - for stdin.")] = None,
    url: ServerUrl = None,
) -> None:
    """Train a version, show its logs while they come, and print the name of the new version."""
    from cli.train import train

    train(model, destination, inputs or [], document, url)


@app.command()
def ps(
    is_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    has_logs: Annotated[bool, typer.Option("--logs", help="With what models printed outside predictions.")] = False,
    url: ServerUrl = None,
) -> None:
    """Show which models run where, how they are and what they take."""
    from cli.ps import ps

    ps(url, is_json=is_json, has_logs=has_logs)


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="The model's folder, with its cog.yaml.")] = Path(),
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="0 is any free one.", show_default="PORT, or 5000")] = None,
    upload_url: Annotated[
        str | None, typer.Option(help="Put output files there.", show_default="as data URLs into the answer")
    ] = None,
    python: Annotated[
        Path | None, typer.Option(help="Interpreter of an environment of your own.", show_default="as cog.yaml says")
    ] = None,
    await_explicit_shutdown: Annotated[
        bool, typer.Option("--await-explicit-shutdown", help="Ignore SIGTERM; POST /shutdown ends the server.")
    ] = False,
) -> None:
    """Serve one model's folder with Cog's own HTTP API: no queue, no database, no token."""
    from cli.serve import serve

    options = {"host": host, "port": port, "upload-url": upload_url, "python": python}
    serve(folder, {**options, "await-explicit-shutdown": await_explicit_shutdown})


@account_app.command("create")
def create_account(
    username: Annotated[str, typer.Argument(help="What its models' names begin with.")],
    name: Annotated[str | None, typer.Option(help="For people to read.", show_default="the username")] = None,
    is_organization: Annotated[bool, typer.Option("--organization", help="It stands for several people.")] = False,
) -> None:
    """Make an account."""
    from cli.accounts import create_account

    create_account(username, name or username, is_organization=is_organization)


@account_app.command("list")
def list_accounts() -> None:
    """Show all accounts."""
    from cli.accounts import list_accounts

    list_accounts()


@account_app.command("show-aborted")
def show_aborted(
    username: Annotated[str, typer.Argument(help="Whose predictions.")],
    is_shown: Annotated[bool, typer.Option("--on/--off", help="Off: `canceled`, which every client knows.")] = True,
) -> None:
    """Show what a deadline ended before it began as `aborted`."""
    from cli.accounts import show_aborted

    show_aborted(username, is_shown=is_shown)


@account_app.command("limit")
def limit_account(
    username: Annotated[str, typer.Argument(help="Whose predictions.")],
    number: Annotated[
        int | None, typer.Argument(min=0, help="0: no limit.", show_default="PINION_ACCOUNT_PREDICTIONS_MAX")
    ] = None,
) -> None:
    """Say how many predictions of an account may wait and run at once."""
    from cli.accounts import limit

    limit(username, number)


@token_app.command("create")
def create_token(
    username: Annotated[str, typer.Argument(help="The account it speaks for.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "unnamed",
    scopes: Annotated[
        list[str] | None,
        typer.Option("--scope", help="What it may be used for; repeatable.", show_default="all but models:write"),
    ] = None,
    days: Annotated[float | None, typer.Option(help="How long it is valid.", show_default="for good")] = None,
) -> None:
    """Make a token and print it, this once."""
    from cli.accounts import create_token

    create_token(username, name, scopes, days)


@token_app.command("list")
def list_tokens(
    username: Annotated[str | None, typer.Argument(help="Of this account alone.")] = None,
) -> None:
    """Show which tokens there are, without the tokens themselves."""
    from cli.accounts import list_tokens

    list_tokens(username)


@token_app.command("revoke")
def revoke_token(named: Annotated[str, typer.Argument(help="Its id, as listed, or the token itself.")]) -> None:
    """Take a token back."""
    from cli.accounts import revoke_token

    revoke_token(named)


@collection_app.command("put")
def put_collection(
    slug: Annotated[str, typer.Argument(help="What it is called in addresses.")],
    models: Annotated[list[str] | None, typer.Argument(help="Its models in order, each as owner/name.")] = None,
    name: Annotated[str | None, typer.Option(help="For people to read.", show_default="the slug")] = None,
    description: Annotated[str, typer.Option(help="In a sentence.")] = "",
    full_description: Annotated[Path | None, typer.Option(help="File with all of it, in Markdown.")] = None,
) -> None:
    """Make a collection, or replace the one so called."""
    from cli.collections import put

    put(slug, name or slug, description, full_description, models or [])


@collection_app.command("list")
def list_collections() -> None:
    """Show all collections."""
    from cli.collections import list_all

    list_all()


@collection_app.command("remove")
def remove_collection(slug: Annotated[str, typer.Argument(help="Which one.")]) -> None:
    """Take a collection apart; its models stay."""
    from cli.collections import remove

    remove(slug)


@app.command()
def migrate() -> None:
    """Bring the database up to date. `up` does this itself."""
    from cli.migrate import migrate

    migrate()


@app.command()
def check(
    since: Annotated[str, typer.Option(help="How far back to look at what has ended: 30m, 2h, 7d.")] = "1d",
) -> None:
    """Judge a running installation: whether everything that must hold of it does. It only reads."""
    from cli.check import check

    check(since)


@app.command()
def lint() -> None:
    """Check this code: style, types, and who imports whom."""
    from cli.checks import lint

    lint()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Check this code, then run its tests; further arguments go to pytest."""
    from cli.checks import test

    test(context.args)


@app.command()
def faults(
    soak_minutes: Annotated[float, typer.Option("--soak", help="Minutes of faults picked at random in the end.")] = 0.0,
) -> None:
    """Break this code's services in all ways there are tests for, and write down how long each repair took."""
    from cli.checks import faults

    faults(soak_minutes)


@app.command()
def version() -> None:
    """Print the version."""
    # From the file: a container's image has the code, but no installed package of ours.
    print(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])


def main() -> None:
    """Run the command; whatever goes wrong becomes one sentence."""
    try:
        _read_env_file()
        app(prog_name="pinion")
    except Failure as failure:
        _end(str(failure), 1)
    except KeyboardInterrupt:
        _end("stopped", 130)
    except OSError as error:
        _end(explain(error), 1)


def _end(sentence: str, code: int) -> None:
    print(f"pinion: {sentence}", file=sys.stderr)
    sys.exit(code)


def _read_env_file() -> None:
    """Settings from a `.env` beside the code, for what the environment does not say."""
    if (PROJECT / ".env").exists():
        from dotenv import load_dotenv

        load_dotenv(PROJECT / ".env")


if __name__ == "__main__":
    main()
