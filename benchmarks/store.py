"""Times queries on a store of 100,000 synthetic scenes: about 20 regions and 60 relations each, of CamVid's classes.

The scenes are made in SQL from a fixed seed, written as the Parquet parts that indexing writes, and taken in as it does
(the time of that is given too). Class frequencies, areas and numbers of relations vary as in street scenes. Times are
medians of turns in one process, the store open for reading and warm, from the text of the query to an `Answer` of the
first 20 images with what matched in them; the first turn is given beside. Writes benchmarks/store.json and prints a
table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from run import ROOT

from segscape import __version__
from segscape.data.label_sets import CAMVID
from segscape.files import write_text
from segscape.scene.predicates import PREDICATES
from segscape.scene.scene import PLACES
from segscape.store.parts import part_numbers, parts_folder
from segscape.store.rows import label_rows
from segscape.store.store import Store
from segscape.store.tables import LAYOUT, SCENE_VERSION, TABLES, columns_sql, unnest_sql

# Of 100 regions, about as in CamVid's training split.
FREQUENCY = {
    "sky": 6,
    "building": 16,
    "pole": 18,
    "road": 5,
    "pavement": 8,
    "tree": 12,
    "sign": 9,
    "fence": 5,
    "car": 10,
    "pedestrian": 8,
    "bicyclist": 3,
}
QUERIES = (
    "pedestrian touching road",
    "count(car) >= 3 and share(road) > 20%",
    "bicyclist left of car where near",
    "car on road where distance = near and area > 2%",
    "place(car) = left and not pedestrian",
    "car between any and pole or kind = indoor",
    "count(pedestrian on pavement where not near car) >= 2",
    "(bicyclist or pedestrian) and road supporting car where strength > 0.8",
    "any",
)
SQL = (
    "SELECT class, count(*), avg(share) FROM regions GROUP BY class ORDER BY class",
    "SELECT image, count(*) AS n FROM relations WHERE predicate = 'touches' GROUP BY image ORDER BY n DESC LIMIT 20",
)
_PICK = """
CREATE OR REPLACE MACRO uniform(a, b, c) AS (hash(a, b, c, 'segscape') % 1000003) / 1000003.0;
CREATE OR REPLACE MACRO pick(list, a, b, c) AS list[1 + (hash(a, b, c, 'segscape') % len(list))::INTEGER];
"""


def make_part(connection: Any, folder: Path, number: int, first: int, count: int, regions: int, relations: int) -> None:
    """Write part ``number``: ``count`` scenes from id ``first`` on, about so many regions and relations in each."""
    names = [name for name, often in FREQUENCY.items() for _ in range(often)]
    predicates = [name for name in PREDICATES if name != "between"]
    run = connection.execute
    for table in TABLES:
        run(f"CREATE OR REPLACE TABLE {table} ({columns_sql(table)})")
    if number == 1:
        rows = label_rows(CAMVID)
        run(f"INSERT INTO labels {unnest_sql('labels')}", [[row[c.name] for row in rows] for c in TABLES["labels"]])
    run(
        """INSERT INTO images SELECT i, '/photos/' || i || '.jpg', sha256(i::VARCHAR), 90000 + i % 9999, i, 'street@0',
        $version, 'camvid', 960, 720, pick(['street', 'street', 'street', 'indoor', 'unknown'], i, 0, 0),
        uniform(i, 0, 1), ['road covers 27 % of the picture'], FALSE,
        repeat('The road takes up 24% of the view, with pavement to the left. ', 5),
        repeat('道路占画面的四分之一。', 5),
        TIMESTAMP '2026-01-01' + i * INTERVAL 1 SECOND FROM range($first, $first + $count) t(i)""",
        {"first": first, "count": count, "version": SCENE_VERSION},
    )
    run(
        """INSERT INTO regions SELECT i, r, pick($names, i, r, 1), FALSE, (691200 * area)::BIGINT, area, x, y,
        x + 80, y + 60, x + 40.0, y + 30.0, 180 * uniform(i, r, 2) - 90, 1 + 4 * uniform(i, r, 3), 3e3 * sqrt(area),
        (4e3 * sqrt(area))::BIGINT, uniform(i, r, 4), 1, (3 * uniform(i, r, 5) ** 4)::INTEGER, pick($places, i, r, 6),
        [], nearness, CASE WHEN nearness >= 0.5 THEN 'near' WHEN nearness < 0.2 THEN 'far' ELSE 'middle' END,
        uniform(i, r, 8), '#808080', pick(['grey', 'dark grey', 'brown', 'green', 'blue', 'white'], i, r, 9),
        'PPYo' || md5(i || ' ' || r) || md5(r || ' ' || i) || md5(i || '-' || r)
        FROM (SELECT i, r, 0.5 / (r + 1) * uniform(i, r, 10) AS area, (880 * uniform(i, r, 11))::INTEGER AS x,
              (660 * uniform(i, r, 12))::INTEGER AS y, uniform(i, r, 13) AS nearness
              FROM range($first, $first + $count) t(i), range(1, 2 * $regions) u(r)
              WHERE r <= $regions // 2 + hash(i, 'n') % ($regions + 1))""",
        {"first": first, "count": count, "regions": regions, "names": names, "places": list(PLACES)},
    )
    run(
        """INSERT INTO relations SELECT p.i, s.id, s.class, predicate, o.id, o.class, NULL, NULL, uniform(p.i, k, 3),
        '{"border_px": ' || hash(p.i, k) % 500 || ', "gap_px": 0.0}'
        FROM (SELECT i, k, n, 1 + hash(i, k, 'a') % n AS a, 1 + hash(i, k, 'b') % n AS b,
              pick($predicates, i, k, 2) AS predicate
              FROM (SELECT image AS i, max(id) AS n FROM regions GROUP BY image), range(1, 2 * $relations) u(k)
              WHERE k <= $relations // 2 + hash(i, 'k') % ($relations + 1)) p
        JOIN regions s ON s.image = p.i AND s.id = a JOIN regions o ON o.image = p.i AND o.id = b
        WHERE a <> b ORDER BY p.i, s.id, predicate""",
        {"predicates": predicates, "relations": relations},
    )
    part = folder / f"{number:08d}"
    part.mkdir(parents=True)
    for table in TABLES:
        run(f"COPY {table} TO ? (FORMAT parquet, COMPRESSION zstd)", [str(part / f"{table}.parquet")])


def fill(path: Path, scenes: int, regions: int, relations: int, part: int = 2500) -> dict[str, Any]:
    """Make the store; how long its parts take to be taken in, and what it holds."""
    folder = parts_folder(path)
    with duckdb.connect() as connection:
        connection.execute(_PICK)
        for number, first in enumerate(range(1, scenes + 1, part), 1):
            make_part(connection, folder, number, first, min(part, scenes + 1 - first), regions, relations)
    start = time.perf_counter()
    with Store.open(path) as store:
        seconds = time.perf_counter() - start
        ((images, num_regions, num_relations),) = store.sql(
            "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM regions), (SELECT count(*) FROM relations)"
        ).rows
    return {
        "images": images,
        "regions": num_regions,
        "relations": num_relations,
        "parts": len(part_numbers(folder)),
        "taken_in_s": seconds,
        "parquet_bytes": sum(file.stat().st_size for file in folder.rglob("*.parquet")),
        "duckdb_bytes": path.stat().st_size,
    }


def measure(path: Path, turns: int) -> list[dict[str, Any]]:
    """Times of each query, in ms."""
    results = []
    with Store.open(path, read_only=True) as store:
        for text in (*QUERIES, *SQL):
            ask = store.sql if text in SQL else store.query
            times = []
            for _ in range(turns):
                start = time.perf_counter()
                answer = ask(text)
                times.append(1000 * (time.perf_counter() - start))
            results.append(
                {
                    "query": text,
                    "found": answer.total,
                    "median_ms": statistics.median(times),
                    "first_ms": times[0],
                    "slowest_ms": max(times),
                }
            )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=100_000)
    parser.add_argument("--regions", type=int, default=20, help="of a scene, in the mean")
    parser.add_argument("--relations", type=int, default=63, help="of a scene, in the mean; some name one region twice")
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "store.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenes.duckdb"
        held = fill(path, arguments.scenes, arguments.regions, arguments.relations)
        results = measure(path, arguments.turns)
    machine = {"cores": len(os.sched_getaffinity(0)), "processor": platform.machine()}
    versions = {"python": platform.python_version(), "segscape": __version__, "duckdb": duckdb.__version__}
    document = {"versions": versions, "machine": machine, "layout": LAYOUT, "store": held, "results": results}
    write_text(arguments.out, json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    table = Table("query", "images found", "median ms", "first ms", title=f"{held['images']:,} scenes")
    for result in results:
        found, times = str(result["found"]), (f"{result['median_ms']:.0f}", f"{result['first_ms']:.0f}")
        table.add_row(result["query"], found, *times)
    Console().print(table)
    sizes = f"{held['parquet_bytes'] / 1e6:.0f} MB Parquet, {held['duckdb_bytes'] / 1e6:.0f} MB DuckDB"
    Console().print(
        f"{held['regions']:,} regions, {held['relations']:,} relations in {held['parts']} parts; taken in within "
        f"{held['taken_in_s']:.0f} s; {sizes}; {machine['cores']} cores"
    )


if __name__ == "__main__":
    main()
