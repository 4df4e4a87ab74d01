"""`python -m tests.scenarios` writes docs/scenarios.md, and says what is not settled."""

import sys

from tests.scenarios.page import PAGE, page, sections


def main() -> int:
    all_sections = sections()
    PAGE.write_text(page(all_sections), encoding="utf-8")
    print(f"wrote {PAGE.name}")
    unsettled = [one.name for section in all_sections for one in section.scenarios if not one.settled]
    if unsettled:
        print("neither a test nor a reason, or both:", ", ".join(unsettled))
    return 1 if unsettled else 0


if __name__ == "__main__":
    sys.exit(main())
