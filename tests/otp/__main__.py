"""`python -m tests.otp` writes docs/otp.md, and says what is left open."""

import sys

from tests.otp.page import PAGE, bugs, cases, groups, neighbours, page


def main() -> int:
    all_groups, all_cases = groups(), cases()
    PAGE.write_text(page(all_groups, all_cases, neighbours(), bugs()), encoding="utf-8")
    open_ = [str(s.number) for group in all_groups for s in group.statements if not s.settled]
    missing = [case.name for some in all_cases.values() for case in some if case.test is None]
    print(f"wrote {PAGE.name}")
    if open_:
        print("neither a test nor a reason:", ", ".join(open_))
    if missing:
        print("cases without a test:", ", ".join(missing))
    return 1 if open_ or missing else 0


if __name__ == "__main__":
    sys.exit(main())
