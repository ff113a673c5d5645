"""Stage survey: data/survey.csv, what stage videos will read of `videos.path`, by name and by hash: what DVC watches.

It runs at every `dvc repro`, unless the demo's videos are rendered: only so is a video that was added or changed
noticed, in whatever way it got into the folder (avsep/sources/watched.py).  A file is read again only if it may have
changed.  All that is wrong with the folder's names and numbers is told here, at once.

Where the folder is not mounted, the list of an earlier run stays: what was made of the videos is all that later stages
need.
"""

import logging
from functools import partial
from pathlib import Path

from avsep.files.hashes import Hashes
from avsep.files.metrics import write_metrics
from avsep.parallel import spread
from avsep.params.stages import SurveyParams
from avsep.run import run
from avsep.sources.watched import count_kinds, row_of, watched, write_survey

HASHES = Path("data/.hashes")  # of files, as later stages know them too


def main(params: SurveyParams) -> None:
    source, path, survey = params.videos.source, Path(params.videos.path), Path(params.survey.watched)
    if not path.exists() and survey.exists():
        logging.warning("survey: videos.path is %s, which is not there: what an earlier run has listed counts", path)
    else:
        hashes = Hashes(HASHES)
        things = watched(source, path, params.index.lists == "published")
        rows = spread(partial(row_of, hashes=hashes), things, desc="survey", unit="file", threads=True, local=True)
        write_survey(survey, rows)
        hashes.close()
    write_metrics("survey", count_kinds(survey))


if __name__ == "__main__":
    run(main, SurveyParams)
