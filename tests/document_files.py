"""Documents for tests, made by real programs' libraries: good ones and hostile ones."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import docx
from msoffcrypto.format.ooxml import OOXMLFile
from pypdf import PdfReader, PdfWriter
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen import canvas

CHINESE = "发票号码：R-2026-0417，价税合计：人民币 1748.00 元。"
ENGLISH = "Invoice R-2026-0417, total to pay EUR 174.80."


def pdf(*pages: str) -> bytes:
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    file = io.BytesIO()
    drawing = canvas.Canvas(file)
    for text in pages:
        drawing.setFont("STSong-Light", 12)
        for number, line in enumerate(text.splitlines()):
            drawing.drawString(50, 780 - 16 * number, line)
        drawing.showPage()
    drawing.save()
    return file.getvalue()


def scanned(pages: int = 2, *, text: str = "") -> bytes:
    """Pages that are a picture each; after them three of `text`."""
    file = io.BytesIO()
    drawing = canvas.Canvas(file)
    picture = ImageReader(Path(__file__).parent.parent / "docs/img/deployment.png")
    for _page in range(pages):
        drawing.drawImage(picture, 0, 0, 595, 400)
        drawing.showPage()
    for _page in range(3 if text else 0):
        drawing.drawString(50, 780, text)
        drawing.showPage()
    drawing.save()
    return file.getvalue()


def with_password(data: bytes, password: str, owner: str = "owner") -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(password, owner, algorithm="AES-256")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def word(*lines: str) -> bytes:
    """As python-docx writes it, with a table."""
    made = docx.Document()
    for line in lines:
        made.add_paragraph(line)
    table = made.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Toner", "129.80"
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def word_of(body: str, *, more: dict[str, bytes] | None = None) -> bytes:
    """A .docx whose body is this XML."""
    names = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    names += ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    document = f"<w:document {names}><w:body>{body}</w:body></w:document>"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        for name, content in {"word/document.xml": document.encode(), **(more or {})}.items():
            archive.writestr(name, content)
    return file.getvalue()


def pictures_only() -> bytes:
    return word_of("<w:p/>", more={"word/media/image1.png": b"x"})


def locked_word() -> bytes:
    """With a password, as Word saves it."""
    locked = io.BytesIO()
    OOXMLFile(io.BytesIO(word(ENGLISH))).encrypt("secret", locked)
    return locked.getvalue()


def bomb() -> bytes:
    """Some hundred kilobytes that unpack to hundreds of megabytes."""
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as part,
    ):
        for _piece in range(200):
            part.write(b" " * 1_000_000)
    return file.getvalue()


def lying_bomb() -> bytes:
    """The same, but it says of itself that it is small."""
    data = bytearray(bomb())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return bytes(data)
