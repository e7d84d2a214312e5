"""Reading the static configuration from a file, and writing it back as one."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from services.config.document import Document, encode
from services.config.errors import ConfigError
from services.config.static import DynamicConfigClient, ServerConfig


def load(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> ServerConfig:
    """The configuration in the file at `path`; `${NAME}` and `${NAME:-default}` come from `env` (the process's own).

    ConfigError on any mistake. A relative dynamic configuration file is looked for beside the file that names it.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError("", error.strerror or str(error), "a readable file", source=str(path)) from None
    except UnicodeDecodeError:
        raise ConfigError("", "bytes that are not UTF-8", "a YAML document", source=str(path)) from None
    return _beside(Path(path), parse(text, os.environ if env is None else env, source=str(path)))


def parse(text: str, env: Mapping[str, str], source: str = "") -> ServerConfig:
    """As `load`, from text."""
    for number, line in enumerate(text.splitlines(), 1):
        if "{{" in line and not line.lstrip().startswith("#"):
            expected = "no Go template: ${NAME} and ${NAME:-default} stand for environment variables"
            raise ConfigError("", "a template action {{", expected, source=source, line=number)
    return Document(text, env, source).decode(ServerConfig)


def dump(config: ServerConfig) -> str:
    """The configuration as a YAML file that `parse` reads back, all defaults spelt out. Passwords are masked."""
    return yaml.safe_dump(encode(config), sort_keys=False)


def _beside(path: Path, config: ServerConfig) -> ServerConfig:
    client = config.dynamic_config_client
    if client is None or not client.filepath:
        return config
    located = DynamicConfigClient(filepath=str(path.parent / client.filepath), poll_interval=client.poll_interval)
    return replace(config, dynamic_config_client=located)
