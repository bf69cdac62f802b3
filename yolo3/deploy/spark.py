"""Score many pictures on Spark with the logged model.

MLflow's `spark_udf` brings the model to the workers. They need the lock's packages and not this
project: the functions that they run here lie inside others, are pickled by value, and import what
they need.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import mlflow.pyfunc
import pandas as pd
from mlflow.models import Model
from pyarrow import fs

from yolo3.data.annotations import PICTURE_SUFFIXES
from yolo3.data.folders import is_hidden, pictures_below
from yolo3.detector.load import model_folder
from yolo3.detector.pyfunc import MAX_PICTURE_BYTES
from yolo3.network.postprocess import Thresholds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PATH, CONTENT = "path", "content"
ROWS = (
    "path string, width long, height long, detections array<struct<label string, class_id long, "
    "score double, xmin double, ymin double, xmax double, ymax double>>, error string"
)
"""What is written: error is '' where the picture was read; width and height are 0 where not."""

PICTURES_AT_ONCE = 32  # that a worker holds in memory
TABLES = {".parquet": "parquet", ".csv": "csv"}
WRITER = "yolo3"  # metadata of the column `detections`: the model and the thresholds


class ScoringError(ValueError):
    """Say what stands in the way of scoring on Spark, and how to mend it."""


@dataclass(frozen=True)
class Source:
    """Say where the pictures are, by exactly one of both.

    folder: pictures at any depth; a path, or a URI that pyarrow knows (s3://…, gs://…, hdfs://…).
    table: a .parquet or .csv, or a table of Spark's catalog, with a column `path` and, unless those
    files are to be read, `content`, their bytes. Relative paths are sought beside the table.
    """

    folder: str = ""
    table: str = ""

    def __post_init__(self):
        if bool(self.folder) == bool(self.table):
            raise ScoringError("expected pictures from a folder or from a table, one of both")


@dataclass(frozen=True)
class Scorer:
    """Say what to score with; thresholds that are left out are the model's own."""

    model: str
    thresholds: dict[str, float] = field(default_factory=dict)
    env_manager: str = "local"


class Scored(NamedTuple):
    """Count rows of the output: written now, there before, and those of all with an error."""

    written: int
    before: int
    failed: int


@contextmanager
def spark_session(master: str, conf: dict[str, str]) -> Iterator["SparkSession"]:
    """Give the session that runs already, or one that ends with the block.

    master: URL of a Spark master; '' for Spark's own setting. Workers on this machine run this
    Python. Raises ScoringError where PySpark or Java is missing.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise ScoringError('PySpark is missing: pip install -e ".[spark]"') from None
    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
        return
    if not has_java():
        raise ScoringError("Spark needs Java 17 or 21: install it, or set JAVA_HOME")
    if not master or master.startswith("local"):
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.app.name": "score-spark", "spark.ui.enabled": "false"} | conf
    if master:
        settings["spark.master"] = master
    session = SparkSession.builder.config(map=settings).getOrCreate()
    try:
        yield session
    finally:
        session.stop()


def has_java() -> bool:
    """Tell whether there is a Java for Spark to run on, of whatever version."""
    home = os.environ.get("JAVA_HOME")
    return shutil.which("java", path=f"{home}/bin" if home else None) is not None


def score(
    session: "SparkSession", scorer: Scorer, source: Source, output: str, chunk: int
) -> Scored:
    """Write a row for each picture that the output lacks; see ROWS.

    output: a folder of Parquet, at a place that Spark writes. chunk: so many pictures for each core
    are written before the next are read; what a killed call has written stays.
    Raises ModelError, ValueError for thresholds out of range, and ScoringError for a source without
    pictures, or for an output of another model or other thresholds.
    """
    session.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(PICTURES_AT_ONCE))
    with model_folder(scorer.model) as folder:
        writer = _writer(Model.load(str(folder)), scorer)
        pictures = _open_source(session, source)
        before = _paths_written(session, output, writer)
        remaining = [path for path in pictures.paths if path not in before]
        predict = mlflow.pyfunc.spark_udf(
            session, str(folder), env_manager=scorer.env_manager, params=scorer.thresholds
        )
        cores = session.sparkContext.defaultParallelism
        for first in range(0, len(remaining), chunk * cores):
            some = remaining[first : first + chunk * cores]
            rows = _score(pictures.read(session, some).repartition(min(len(some), cores)), predict)
            rows = rows.withMetadata("detections", {WRITER: writer})
            rows.write.mode("append").parquet(output)
    failed = _rows(session, output).where("error != ''").count()
    return Scored(len(remaining), len(pictures.paths) - len(remaining), failed)


def _writer(model: Model, scorer: Scorer) -> str:
    """Tell in words what a row depends on besides its picture."""
    own = {param.name: param.default for param in model.signature.params.params}
    thresholds = vars(Thresholds(**(own | scorer.thresholds)))
    told = ", ".join(f"{name} {value:g}" for name, value in sorted(thresholds.items()))
    return f"model {model.model_uuid} with {told}"


def _rows(session, output: str) -> "DataFrame":
    return session.read.schema(ROWS).parquet(output)


def _paths_written(session, output: str, writer: str) -> set[str]:
    """Collect the paths that have a row; ScoringError where others than `writer` wrote one."""
    from pyspark.errors import AnalysisException

    empty = session.createDataFrame([], ROWS).withMetadata("detections", {WRITER: writer})
    empty.write.mode("ignore").parquet(output)  # where there is nothing yet
    try:
        schema = session.read.parquet(output).schema
    except AnalysisException as error:
        if error.getCondition() != "UNABLE_TO_INFER_SCHEMA":
            raise
        raise ScoringError(f"{output}: is no Parquet, name a new folder") from error
    if "detections" not in schema.names:
        raise ScoringError(f"{output}: holds other tables than this command writes, name another")
    found = schema["detections"].metadata.get(WRITER)
    if found != writer:
        raise ScoringError(
            f"{output}: was written by {found}, this is {writer}; name another output"
        )
    return {row.path for row in _rows(session, output).select(PATH).toLocalIterator()}


class _Files(NamedTuple):
    """Pictures that workers read by their paths; relative ones lie beside `base`."""

    paths: list[str]
    base: str = ""

    def read(self, session, paths: Sequence[str]) -> "DataFrame":
        """Give the rows `path, content, error`."""
        listed = _listed(session, paths)
        return listed.withColumn("read", _reader(self.base)(PATH)).select(PATH, "read.*")


class _Contents(NamedTuple):
    """Pictures that stand in a table themselves."""

    paths: list[str]
    table: "DataFrame"

    def read(self, session, paths: Sequence[str]) -> "DataFrame":
        """Give the rows `path, content, error`."""
        from pyspark.sql.functions import broadcast, lit

        rows = self.table.select(PATH, CONTENT)
        rows = rows.join(broadcast(_listed(session, paths)), PATH, "left_semi")
        return rows.dropDuplicates([PATH]).withColumn("error", lit(""))


def _listed(session, paths):
    return session.createDataFrame(pd.DataFrame({PATH: list(paths)}), f"{PATH} string")


def _open_source(session, source: Source) -> _Files | _Contents:
    if source.folder:
        return _Files(_paths_in(source.folder))
    suffix = PurePosixPath(source.table).suffix.lower()
    table = _open_table(session, source.table, suffix)
    paths = [row.path for row in table.select(PATH).distinct().collect()]
    if not paths or not all(paths):
        raise ScoringError(f"{source.table}: expected a path in each row, got {_lack(paths)}")
    if CONTENT in table.columns:
        return _Contents(sorted(paths), table)
    return _Files(sorted(paths), str(Path(source.table).resolve().parent) if suffix else "")


def _lack(paths: list) -> str:
    return "rows without one" if paths else "no row"


def _open_table(session, name: str, suffix: str) -> "DataFrame":
    """Open a table that has the columns; ScoringError for another, or none."""
    from pyspark.errors import AnalysisException

    try:
        if suffix in TABLES:
            table = session.read.options(header="true").format(TABLES[suffix]).load(name)
        else:
            table = session.table(name)
    except AnalysisException as error:
        raise ScoringError(
            f"{name}: no such table; expected a .parquet, a .csv or a name in Spark's catalog "
            f"({error.getCondition()})"
        ) from error
    types = dict(table.dtypes)
    if types.get(PATH) != "string" or types.get(CONTENT, "binary") != "binary":
        has = ", ".join(f"{name} {kind}" for name, kind in table.dtypes)
        raise ScoringError(
            f"{name}: expected a column 'path' of type string and, if any, 'content' of type "
            f"binary, got {has}"
        )
    return table


def _paths_in(folder: str) -> list[str]:
    """List the pictures in a folder and below it; ScoringError where there are none."""
    try:
        files = _files_at(folder) if "://" in folder else _files_below(Path(folder).resolve())
    except (OSError, ValueError) as error:
        raise ScoringError(f"{folder}: no folder that can be listed ({error})") from error
    if not files:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        raise ScoringError(f"{folder}: holds no pictures ({kinds})")
    return sorted(files)


def _files_below(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise NotADirectoryError("it is no folder here")
    return [str(path) for path in pictures_below(folder)]


def _files_at(address: str) -> list[str]:
    system, inside = fs.FileSystem.from_uri(address)
    found = system.get_file_info(fs.FileSelector(inside, recursive=True))
    files = [PurePosixPath(file.path) for file in found if file.is_file]
    place, mark, options = address.partition("?")
    return [
        f"{place.rstrip('/')}/{quote(str(file.relative_to(inside)))}{mark}{options}"
        for file in files
        if file.suffix.lower() in PICTURE_SUFFIXES and not is_hidden(file, PurePosixPath(inside))
    ]


def _reader(base: str):
    """Make a function for Spark that reads files: their bytes, or what is wrong with them."""
    from pyspark.sql.functions import pandas_udf

    largest = MAX_PICTURE_BYTES

    def read_file(path: str) -> tuple[bytes | None, str]:
        import os

        from pyarrow import fs

        try:
            system, inside = fs.FileSystem.from_uri(
                path if "://" in path else os.path.abspath(os.path.join(base, path))
            )
            [file] = system.get_file_info([inside])
            if file.type == fs.FileType.NotFound:
                return None, "image does not exist"
            if file.is_file and file.size > largest:
                return None, f"image has {file.size:,} bytes, at most {largest:,}: save it smaller"
            with system.open_input_stream(inside) as stream:
                return stream.read(), ""
        except (OSError, ValueError) as error:  # pyarrow's own errors are of these
            return None, f"image cannot be read ({error})"

    def read(paths: pd.Series) -> pd.DataFrame:
        import pandas

        return pandas.DataFrame([read_file(p) for p in paths], columns=["content", "error"])

    return pandas_udf(read, "content binary, error string")


def _score(pictures: "DataFrame", predict) -> "DataFrame":
    """Turn rows `path, content, error` into the rows that are written."""
    from pyspark.sql.functions import base64, col, when

    found = pictures.select(PATH, "error", predict(base64(CONTENT)).alias("found"))
    error = when(col("error") != "", col("error")).otherwise(col("found.error"))
    columns = [col(f"found.{name}") for name in ("width", "height", "detections")]
    return found.select(PATH, *columns, error.alias("error"))
