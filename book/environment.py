"""Print where this Python runs, and with which versions, as JSON.

Packages are those that the installed equinb asks for, as far as they are there. It
names no machine and no folder.
"""

import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, requires, version


def packages() -> dict[str, str]:
    """The version of each package that equinb asks for."""
    found = {"equinb": version("equinb")}
    for line in requires("equinb") or []:
        name = re.split(r"[^\w.-]", line)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    record = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages(),
    }
    print(json.dumps(record, indent=1))
