"""The text of zipped XML: DOCX, PPTX, ODT, ODP and EPUB."""

import posixpath
import zipfile
from collections.abc import Callable, Collection, Mapping
from functools import cache, partial
from typing import Final
from urllib.parse import unquote
from xml.parsers import expat

from deepseek_r1.core.i18n import tr
from deepseek_r1.documents.block_writer import BlockWriter, decoded_page
from deepseek_r1.documents.errors import DocumentDamaged, DocumentEncrypted, DocumentTooLarge
from deepseek_r1.documents.markup_text import OFFICE, OPEN_DOCUMENT, MarkupText, attribute
from deepseek_r1.documents.pictures import UNREAD, models_folder, picture_reader

MAX_MEMBERS: Final = 20_000
MAX_UNPACKED_BYTES: Final = 256 * 2**20  # of what is read; pictures are not
_MOST_PICTURES, _MOST_PICTURE_BYTES = 200, 32 * 2**20
_MAX_RATIO, _SMALL_BYTES = 300, 8 * 2**20  # of a part that is not small; text is a tenth packed
_PROTECTIONS = {"META-INF/rights.xml", "META-INF/license.lcpl"}  # of sellers of e-books
_OPEN_DOCUMENTS = {"text": "odt", "presentation": "odp", "spreadsheet": "ods"}


class OfficeFile:
    """One file. The names in it are keys, and never paths. KeyError is a part that is missing."""

    def __init__(self, archive: zipfile.ZipFile, writer: BlockWriter) -> None:
        self._archive, self._writer = archive, writer
        self._left_bytes = MAX_UNPACKED_BYTES
        self._pictures = set[str]()  # that were met: a logo on every slide is read once
        self._infos = {info.filename: info for info in archive.infolist()}
        if len(self._infos) > MAX_MEMBERS:
            limit = tr("It has more than {limit:,} files.", limit=MAX_MEMBERS)
            raise DocumentTooLarge(name=writer.name, detail=limit)

    def write(self) -> str:
        """Write its text; returns its kind, "" for an unknown one. Sheets are not written."""
        kind = (
            self._read("mimetype").decode("ascii", "replace") if "mimetype" in self._infos else ""
        )
        if kind.startswith("application/epub"):
            self._write_book()
            return "epub"
        kind = kind.partition("opendocument.")[2].partition("-")[0].strip()
        if kind in _OPEN_DOCUMENTS:
            self._walk("META-INF/manifest.xml", self._refuse_encryption)
            if kind != "spreadsheet":
                self._write("content.xml", OPEN_DOCUMENT)
            return _OPEN_DOCUMENTS[kind]
        main = dict(self._targets("").values()).get("officeDocument", "")
        match main.partition("/")[0]:
            case "word":
                self._write_word(main)
                return "docx"
            case "ppt":
                self._write_slides(main)
                return "pptx"
            case "xl":
                return "xlsx"
        return ""

    def _read(self, part: str) -> bytes:
        info = self._archive.getinfo(part)
        if info.flag_bits & 1:
            raise DocumentEncrypted(name=self._writer.name)
        self._left_bytes -= info.file_size  # of which `zipfile` unpacks no more than that
        is_dense = info.file_size > max(_SMALL_BYTES, _MAX_RATIO * info.compress_size)
        if self._left_bytes < 0 or is_dense:
            detail = tr("Unpacked, it is far too large.")
            raise DocumentTooLarge(name=self._writer.name, detail=detail)
        with self._archive.open(info) as file:
            return file.read()

    def _walk(
        self,
        part: str,
        start: Callable[[str, Mapping[str, str]], object],
        end: Callable[[str], object] = lambda _name: None,
        text: Callable[[str], object] = lambda _text: None,
    ) -> None:
        """Call back for elements, by their names without a prefix, and for text.

        No entity may be declared, so none is opened. Raises ExpatError.
        """
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.EntityDeclHandler = self._refuse_entities
        parser.StartElementHandler = lambda name, found: start(name.rpartition(":")[2], found)
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
        parser.CharacterDataHandler = text
        parser.Parse(self._read(part), True)

    def _refuse_entities(self, *_declaration: object) -> None:
        detail = tr("it declares entities, which office programs never do")
        raise DocumentDamaged(name=self._writer.name, detail=detail)

    def _refuse_encryption(self, name: str, _attributes: Mapping[str, str]) -> None:
        if name == "encryption-data":
            raise DocumentEncrypted(name=self._writer.name)

    def _targets(self, part: str) -> dict[str, tuple[str, str]]:
        """The kind and the part of what a part refers to, by identifier; "" is the whole file."""
        folder, name = posixpath.split(part)
        found: dict[str, tuple[str, str]] = {}

        def start(element: str, values: Mapping[str, str]) -> None:
            if element == "Relationship" and values.get("TargetMode") != "External":
                kind = values["Type"].rpartition("/")[2]
                found[values["Id"]] = kind, _joined(folder, values["Target"])

        if (relations := f"{folder}/_rels/{name}.rels".lstrip("/")) in self._infos:
            self._walk(relations, start)
        return found

    def _write(
        self, part: str, roles: Mapping[str, int | str], headings: Collection[str] = ()
    ) -> None:
        targets, text_in = cache(partial(self._targets, part)), "t" if roles is OFFICE else ""

        def picture_text(reference: str) -> tuple[str, float | None]:
            _kind, known = targets().get(reference, ("", "")) if text_in else ("", reference)
            return self._picture_text("", known)

        walk = MarkupText(self._writer, roles, text_in, headings, picture_text)
        self._walk(part, walk.start, walk.end, walk.text)
        self._writer.end_row()

    def _picture_text(self, folder: str, reference: str) -> tuple[str, float | None]:
        """A picture's text where it is met first, or a note, or ""; how sure the text is."""
        part = _joined(folder, reference)
        info = self._infos.get(part)
        if info is None or part in self._pictures or models_folder() is None:
            return "", None
        self._pictures.add(part)
        if len(self._pictures) > _MOST_PICTURES or info.file_size > _MOST_PICTURE_BYTES:
            return UNREAD, None
        try:
            with self._archive.open(info) as file:
                return picture_reader().embedded_text(file, self._writer)[:2]
        except Exception as error:  # any of Pillow's; the text around the picture is sound
            if self._writer.recognises and isinstance(error, MemoryError):
                raise
            return UNREAD, None

    def _write_word(self, main: str) -> None:
        """The text, then its notes. Pages are made by the program that shows it."""
        parts = dict(self._targets(main).values())
        headings: set[str] = set()  # identifiers of styles, which are translated; names are not
        style = ""

        def start(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal style
            value = attribute(attributes, "val").lower()
            style = attribute(attributes, "styleId") if name == "style" else style
            if name == "name" and value.startswith(("heading", "title")):
                headings.add(style)

        if "styles" in parts:
            self._walk(parts["styles"], start)
        self._write(main, OFFICE, headings)
        for kind in ("footnotes", "endnotes"):
            if kind in parts:
                self._write(parts[kind], OFFICE)

    def _write_slides(self, main: str) -> None:
        targets, slides = self._targets(main), []

        def start(name: str, attributes: Mapping[str, str]) -> None:
            if name == "sldId":
                slides.append(targets[attribute(attributes, "id")][1])

        self._walk(main, start)
        for self._writer.page, slide in enumerate(slides, 1):
            self._begin_part()
            self._write(slide, OFFICE)
            if notes := dict(self._targets(slide).values()).get("notesSlide"):
                self._write(notes, OFFICE)

    def _write_book(self) -> None:
        if _PROTECTIONS & set(self._infos):
            raise DocumentEncrypted(name=self._writer.name)
        package, files, spine = "", {}, []  # type: str, dict[str, str], list[str]

        def start(name: str, attributes: Mapping[str, str]) -> None:
            nonlocal package
            if name == "rootfile":
                package = package or _joined("", attributes["full-path"])
            elif name == "item":
                files[attributes["id"]] = attributes["href"]
            elif name == "itemref":
                spine.append(attributes["idref"])

        self._walk("META-INF/container.xml", start)
        self._walk(package, start)
        for chapter in spine:
            self._begin_part()
            part = _joined(posixpath.dirname(package), files[chapter])
            page, folder = self._read(part), posixpath.dirname(part)
            if (text := decoded_page(page)) is None:
                raise DocumentDamaged(
                    name=self._writer.name, detail=tr("one of its chapters is not text")
                )
            MarkupText(self._writer, picture_text=partial(self._picture_text, folder)).write(text)

    def _begin_part(self) -> None:
        self._writer.heading = ""
        self._writer.progress()


def _joined(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
