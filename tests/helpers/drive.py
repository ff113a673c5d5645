"""Google Drive as gdown sees it, on a web site of one's own: no request leaves the machine."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import pytest
import requests

from tests.helpers.website import Site

HOSTS = ("drive.google.com", "drive.usercontent.google.com", "docs.google.com")


def redirect(monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    """Sends all that requests asks of HOSTS to `site`, under /<host>/; any other host but the site is an error."""
    send = requests.adapters.HTTPAdapter.send
    own = urlsplit(site.url)

    def to_site(adapter: Any, request: Any, **options: Any) -> Any:
        asked = urlsplit(request.url)
        if asked.hostname in HOSTS:
            request.url = urlunsplit((own.scheme, own.netloc, f"/{asked.hostname}{asked.path}", asked.query, ""))
        elif asked.netloc != own.netloc:
            raise requests.ConnectionError(f"{asked.hostname} is not to be asked")
        response = send(adapter, request, **options)
        response.url = urlunsplit(asked)
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", to_site)


def put_file(site: Site, pages: Path, key: str, name: str, content: bytes, confirm: bool = False) -> str:
    """A file of the id `key`; `confirm`: too large to be looked through for viruses, Drive asks first. Returns its
    name on the site."""
    (pages / key).mkdir(parents=True, exist_ok=True)
    file = pages / key / "content.bin"
    file.write_bytes(content)
    first = f"drive.google.com/uc?id={key}"
    at = first
    if confirm:
        hidden = {"id": key, "export": "download", "confirm": "t", "uuid": "0-1"}
        fields = "".join(f'<input type="hidden" name="{n}" value="{v}">' for n, v in hidden.items())
        page = f'<form id="download-form" action="https://{HOSTS[1]}/download" method="get">{fields}</form>'
        put_page(site, pages, first, f"<!DOCTYPE html><html><body>{page}</body></html>")
        at = f"{HOSTS[1]}/download?{urlencode(hidden)}"
    site.files[at] = file
    site.headers[at] = {"Content-Disposition": f'attachment; filename="{name}"'}
    return at


def put_folder(
    site: Site, pages: Path, key: str, files: Mapping[str, str], folders: Mapping[str, str] = {}, title: str = "Music"
) -> None:
    """A folder's page: names -> ids of what is in it."""
    links = [f'<a href="https://{HOSTS[0]}/file/d/{k}/view">{html.escape(name)}</a>' for name, k in files.items()]
    links += [f'<a href="https://{HOSTS[0]}/drive/folders/{k}">{html.escape(n)}</a>' for n, k in folders.items()]
    page = f"<html><head><title>{title}</title></head><body>{''.join(links)}</body></html>"
    put_page(site, pages, f"drive.google.com/embeddedfolderview?id={key}", page)


def put_page(site: Site, pages: Path, name: str, text: str) -> None:
    pages.mkdir(parents=True, exist_ok=True)
    site.files[name] = pages / f"page{len(site.files)}.html"
    site.files[name].write_text(text, encoding="utf-8")
