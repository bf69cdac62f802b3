"""The files below a folder of labels, and which image a name in a label file means."""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath, PureWindowsPath

from yolo3.data.annotations import PICTURE_SUFFIXES

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "data", "pictures", "photos")
SPLITS = {  # name of a split or of its folder -> what it is for
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")
SAME, MIRRORED, ANYWHERE = 1, 2, 3  # how near an image's folder is to its label's
Rank = tuple[int, int]  # how near, and less the folders that agree with the name; lower is better
_MOST_ELSEWHERE = 20_000  # files around the folder that are looked at for a hint


class FileTree:
    """List the files below a folder that a person named; nothing outside it is ever found.

    Hidden files are passed over, as is what a Mac adds to archives. Symbolic links that lead out
    of the folder are kept apart in `outside`, unless `follow_links`; of several ways to a file by
    links inside it, one is kept. images: another folder, which alone holds the images.
    """

    def __init__(self, root: Path, follow_links: bool = False, images: Path | None = None):
        self.shown = root
        self.root = Path(os.path.abspath(root))
        self.outside: set[Path] = set()
        self.folders: set[Path] = set()
        self._shown_of = {self.root: root}  # absolute folder -> as it was given
        self._follow = follow_links
        self._linked = False
        self.files = self._files_below(root)  # absolute, in the order of their names
        pictured = self.files
        if images is not None:
            self._shown_of[Path(os.path.abspath(images))] = images
            pictured = self._files_below(images)
        self.images = [path for path in pictured if path.suffix.lower() in PICTURE_SUFFIXES]
        self._folder_names = {folder.name.casefold() for folder in self.folders}
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for path in self.images:
            self._by_name[path.name.casefold()].append(path)
            self._by_stem[path.stem.casefold()].append(path)

    def named(self, path: Path) -> str:
        """Name a file as the person would, from the folder that was given, in printable text."""
        root = self._root_of(path)
        name = str(path if root is None else self._shown_of[root] / path.relative_to(root))
        return name if name.isprintable() else repr(name)[1:-1]

    def inside(self, path: Path) -> Path:
        """Give a path from the folder on; of a file outside it, nothing but the name."""
        root = self._root_of(path)
        return Path(path.name) if root is None else path.relative_to(root)

    def with_suffix(self, *suffixes: str) -> list[Path]:
        """List the files with one of some endings, given in small letters."""
        return [path for path in self.files if path.suffix.lower() in suffixes]

    def holds(self, path: Path) -> bool:
        """Tell whether an absolute path stays inside the folder, links left aside."""
        return self._root_of(Path(os.path.normpath(path))) is not None

    def roots_around(self, path: Path) -> list[Path]:
        """List the folders in which what a file names may lie: its own, and those given."""
        return list(dict.fromkeys((path.parent, *self._shown_of)))

    def find(
        self, name: str, label: Path, hints: Sequence[str] = (), among: set[Path] | None = None
    ) -> tuple[list[Path], Rank]:
        """Find the images that a name in a label file may mean, and the rank of that match.

        A name without an image's ending means any image of that stem. Folders in the name, then
        the label's own folder, then the mirrored one (Annotations/x and JPEGImages/x), then a
        folder among `hints` or one that is usual for images, then capitals decide between images
        of one name; more than one image is returned where nothing does. `among` limits the images.
        A name with a folder that exists here is found in such a folder only; a label in the folder
        of a split means no image in that of another.
        """
        parts = [part.casefold() for part in parts_of(name)]
        if not parts:
            return [], (ANYWHERE, 0)
        whole = PureWindowsPath(name).suffix.lower() in PICTURE_SUFFIXES
        found = (self._by_name if whole else self._by_stem).get(parts[-1], [])
        if among is not None:
            found = [path for path in found if path in among]
        split = split_of(self.inside(label))
        if split:
            found = [path for path in found if split_of(self.inside(path)) in ("", split)]
        if len(parts) > 1 and parts[-2] in self._folder_names:
            found = [
                path for path in found if parts[-2] in str(path.parent).casefold().split(os.sep)
            ]
        exact = parts_of(name)[-1]
        ranked = [
            (
                (*self._distance(path, parts, label, hints), exact not in (path.name, path.stem)),
                path,
            )
            for path in found
        ]
        nearest = min((distance for distance, _ in ranked), default=None)
        matches = [path for distance, path in ranked if distance == nearest]
        return matches, (nearest[1], nearest[0]) if nearest else (ANYWHERE, 0)

    def find_either(
        self, name: str, label: Path, hints: Sequence[str] = ()
    ) -> tuple[list[Path], Rank]:
        """Find the images that a name in a label file, or the label file's own, may mean."""
        own, own_rank = self.find(label.stem, label, hints)
        named, rank = self.find(name, label, hints)
        if not named:
            return own, own_rank
        if set(named) & set(own):
            return [path for path in named if path in own], own_rank
        return [*named, *own], min(rank, own_rank)

    def archives(self) -> list[Path]:
        """List the archives, in which images may still be packed."""
        return self.with_suffix(*ARCHIVES)

    def elsewhere(self, names: Iterable[str]) -> dict[str, int]:
        """Count the images of some names in the folders around this one, as a person names them."""
        wanted = {PureWindowsPath(name).name.casefold().removesuffix(".*") for name in names}
        stems = {name for name in wanted if Path(name).suffix not in PICTURE_SUFFIXES}
        counts: dict[str, int] = defaultdict(int)
        seen = 0
        for folder, folders, files in os.walk(self.root.parent):
            inside = Path(folder).is_relative_to(self.root)
            deep = len(Path(folder).relative_to(self.root.parent).parts) > 2
            folders[:] = [] if inside or deep else [f for f in folders if not _hidden(f)]
            seen += len(files)
            if seen > _MOST_ELSEWHERE:
                break
            for file in files if not inside else ():
                path = Path(file.casefold())
                if path.suffix in PICTURE_SUFFIXES and (path.name in wanted or path.stem in stems):
                    beside = os.path.relpath(folder, self.root)
                    counts[os.path.normpath(self.shown / beside)] += 1
        return counts

    def _root_of(self, path: Path) -> Path | None:
        return next((root for root in self._shown_of if path.is_relative_to(root)), None)

    def _files_below(self, root: Path) -> list[Path]:
        """List the files; of those that links inside the folder show twice, the original."""
        files: list[Path] = []
        start, real = Path(os.path.abspath(root)), os.path.realpath(root)
        self._walk(start, (), real, files)
        for folder in {path.parent for path in files}:
            self.folders.update((folder, *folder.parents))
        if not self._linked:
            return files
        first: dict[str, Path] = {}
        real_of = {path: os.path.realpath(path) for path in files}
        linked = {path: real_of[path] != f"{real}/{path.relative_to(start)}" for path in files}
        for path in sorted(files, key=linked.get):
            first.setdefault(real_of[path], path)
        return [path for path in files if first[real_of[path]] is path]

    def _walk(self, folder: Path, above: tuple[str, ...], root: str, files: list[Path]) -> None:
        real = os.path.realpath(folder)
        if real in above:  # a link to a folder that holds it
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            path, is_link = folder / entry.name, entry.is_symlink()
            if _hidden(entry.name):
                continue
            is_folder = path.is_dir() if is_link else entry.is_dir()
            self._linked |= is_link
            if is_link and not (self._follow or _is_below(path, root)):
                self.outside.add(path)
            elif is_folder:
                self._walk(path, (*above, real), root, files)
                continue
            if not is_folder:
                files.append(path)

    def _distance(
        self, path: Path, parts: Sequence[str], label: Path, hints: Sequence[str]
    ) -> tuple[int, int, int, int]:
        own = [part.casefold() for part in self.inside(path).parts]
        agreeing = 0
        for mine, theirs in zip(own[-2::-1], parts[-2::-1], strict=False):
            if mine != theirs:
                break
            agreeing += 1
        near = [part.casefold() for part in self.inside(label).parent.parts]
        folder = path.parent.name.casefold()
        unusual = not any(part in IMAGE_FOLDERS for part in own[:-1])
        unhinted = folder not in [hint.casefold() for hint in hints]
        return -agreeing, _rank(own[:-1], near), unhinted, unusual


def parts_of(name: str) -> list[str]:
    """Split a path of any system, without its root and what leads out of it."""
    path = PureWindowsPath(name)
    parts: list[str] = []
    for part in path.parts[bool(path.anchor) :]:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return parts


def _rank(own: list[str], near: list[str]) -> int:
    """Tell how near an image's folder is to its label's: the same, mirrored, or elsewhere."""
    if own == near:
        return SAME
    if len(own) == len(near):
        differing = sum(mine != theirs for mine, theirs in zip(own, near, strict=True))
        return MIRRORED if differing == 1 else ANYWHERE
    longer, shorter = (own, near) if len(own) > len(near) else (near, own)
    less = (longer[:place] + longer[place + 1 :] for place in range(len(longer)))
    return MIRRORED if len(longer) == len(shorter) + 1 and shorter in less else ANYWHERE


def split_of(*paths: PurePath) -> str:
    """Give the split that a folder in one of some relative paths is named after, '' for none.

    COCO puts a year behind it.
    """
    folders = [part.casefold().rstrip("0123456789") for path in paths for part in path.parent.parts]
    return next((SPLITS[part] for part in folders if part in SPLITS), "")


def _is_below(path: Path, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
