"""Courses: which cases a learner gets, in which order, and the page in front of them.

Ten courses come with the package as YAML files; a teacher's own course is one more such file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bonescint.scan import InputError, ParameterError, UptakeSite, View
from bonescint.scan.checked import (
    check_name,
    check_number,
    check_shares,
    check_table,
    check_text,
    check_whole,
)
from bonescint.schema import PackagedYaml, construct
from bonescint.teach.appearances import Appearance

MOST_CASES = 1000
"""Most cases of a course; more is taken for a typing error."""

_NO_KINDS = frozenset({UptakeSite.METASTASIS, UptakeSite.DIFFUSE_METASTASES, UptakeSite.OTHER})
"""Sites that are no kind of their own: metastases are told apart by their appearance."""


def kind_named(words: str) -> UptakeSite | Appearance:
    """The kind of finding that a course or a text names.

    Args:
        words: an uptake site, such as `"rib fracture"`, or an appearance of metastases, such as
            `"superscan"`.

    Raises:
        ParameterError: words that are neither.

    Examples:
        >>> kind_named("cold"), kind_named("rib fracture")
        (<Appearance.COLD: 'cold'>, <UptakeSite.RIB_FRACTURE: 'rib fracture'>)
    """
    for appearance in Appearance:
        if appearance == words:
            return appearance
    site = UptakeSite.named(words)
    if site in _NO_KINDS:
        requirement = "an uptake site or an appearance of metastases (see the list in the manual)"
        raise ParameterError("kind", "kind_named", requirement, words)
    return site


def teachable_kinds() -> tuple[UptakeSite | Appearance, ...]:
    """Every kind of finding that a case can show, each of which has its text and its picture.

    Examples:
        >>> UptakeSite.BLADDER in teachable_kinds(), UptakeSite.OTHER in teachable_kinds()
        (True, False)
    """
    return (*Appearance, *(site for site in UptakeSite if site not in _NO_KINDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A simulated picture in the introduction to a course, or beside the text of a kind.

    Attributes:
        shows: the uptake site or the appearance that is ringed; none if empty.
        seed: seed of the synthetic patient.
        view: the view that is shown.
        caption: what is to be seen in it, in a sentence.
        region: only uptake in bones or organs whose name begins with this is ringed, such as
            `"rib"`; any if empty.
        whole_body: the whole view is shown instead of the part around the ring.

    Raises:
        ParameterError: an unknown kind, a seed below 0, a caption of several lines.
    """

    shows: str
    seed: int
    view: View
    caption: str
    region: str = ""
    whole_body: bool = False

    def __post_init__(self) -> None:
        if self.shows:
            kind_named(self.shows)
        check_whole(self, "seed", 0, 2**31)
        check_text(self, "caption")
        check_text(self, "region")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastRange:
    """Contrast-to-noise ratio that the faintest metastasis of a case may have.

    Attributes:
        low: of the hardest cases.
        high: of the easiest ones, with which a learner begins.

    Raises:
        ParameterError: not in this order, or outside 1 to 1000.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        check_number(self, "low", 1, 1000)
        check_number(self, "high", self.low, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """When a course is done: its cases are answered, and enough of the last ones were right.

    Attributes:
        of_last: number of the latest cases that are looked at.
        right: least share of them that were answered rightly; 0 if answering is enough.

    Raises:
        ParameterError: a number below 1, or a share outside 0 to 1.
    """

    of_last: int
    right: float

    def __post_init__(self) -> None:
        check_whole(self, "of_last", 1, MOST_CASES)
        check_number(self, "right", 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A course: an aim, a page in front, and what its cases are drawn from.

    Attributes:
        name: short name, by which commands and prerequisites call it.
        title: what pages call it.
        order: its place among the courses.
        prerequisites: names of the courses that should be done before.
        aim: what a learner can do afterwards, in a sentence.
        introduction: paragraphs of the page in front.
        mimics: share of the cases whose patient certainly has this benign finding or organ, by
            uptake site. Shares are independent of each other; whatever else the patient has comes
            as it would in any simulated patient.
        lesions: share of the cases with disease in which the metastases look like this, by
            appearance; they sum to 1. Empty if no case has disease.
        contrast_to_noise: of the faintest metastasis of a case; as it is drawn if `None`.
        prevalence: share of cases with disease.
        cases: number of cases.
        completion: when the course is done.
        examples: pictures of the page in front, in the order in which they are shown.

    Raises:
        ParameterError: an impossible value; the message names the key.

    Examples:
        >>> course = read_course("rib-fractures")
        >>> course.order, course.mimics[UptakeSite.RIB_FRACTURE] > 0.3
        (4, True)
    """

    name: str
    title: str
    order: int
    prerequisites: tuple[str, ...] = ()
    aim: str
    introduction: tuple[str, ...]
    mimics: Mapping[UptakeSite, float]
    lesions: Mapping[Appearance, float]
    contrast_to_noise: ContrastRange | None = None
    prevalence: float
    cases: int
    completion: Completion
    examples: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        check_name("Course", "name", self.name)
        for name in ("title", "aim"):
            check_text(self, name)
        check_whole(self, "order", 1, MOST_CASES)
        for paragraph in self.introduction:
            if not paragraph.isprintable():
                raise ParameterError("introduction", "Course", "a list of paragraphs", paragraph)
        if self.name in self.prerequisites:
            raise ParameterError("prerequisites", "Course", "other courses", self.name)
        check_number(self, "prevalence", 0, 1)
        check_whole(self, "cases", 1, MOST_CASES)
        if self.completion.of_last > self.cases:
            requirement = f"at most as many as there are cases ({self.cases})"
            raise ParameterError("of_last", "Course", requirement, self.completion.of_last)
        for site, share in check_table(self, "mimics").items():
            if site in _NO_KINDS:
                raise ParameterError("mimics", "Course", "uptake that is no metastasis", str(site))
            if not 0 <= share <= 1:
                raise ParameterError("mimics", "Course", f"from 0 to 1 for '{site}'", share)
        if check_table(self, "lesions") or self.prevalence > 0:
            check_shares(self, "lesions")
        for name in ("mimics", "lesions"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))


_PACKAGED = PackagedYaml(
    package="bonescint.teach.content", folder="courses", noun="course", extra="teach"
)


def read_course(name: str | Path) -> Course:
    """Read a course by its name, or from a teacher's YAML file.

    Args:
        name: the name of a course of the package, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no course of that name; the message lists those that exist.
        InputError: an unreadable file; an unknown key, a missing one or an impossible value, named
            with its place.
        MissingExtraError: PyYAML is not installed.
    """
    content, source = _PACKAGED.read(name)
    return construct(Course, content, source, _PACKAGED.remedy)


def read_courses(own: Iterable[Path] = ()) -> tuple[Course, ...]:
    """All courses in their order: those of the package, and a teacher's own.

    Args:
        own: YAML files of own courses. A course with the name of one of the package replaces it.

    Raises:
        InputError: an unreadable or impossible file, or a prerequisite that is no course.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> [course.order for course in read_courses()]
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    """
    courses = {name: read_course(name) for name in _PACKAGED.names()}
    sources: dict[str, Path] = {}
    for path in own:
        course = read_course(path)
        if course.name in sources:
            problem = f"name: {course.name!r} is also the name in {sources[course.name]}"
            raise InputError(path, problem, "Give one of them another name")
        courses[course.name] = course
        sources[course.name] = path
    for course in courses.values():
        unknown = [name for name in course.prerequisites if name not in courses]
        if unknown:
            problem = f"prerequisites: no course is called {unknown[0]!r}"
            remedy = f"Name some of {', '.join(sorted(courses))}"
            raise InputError(str(sources.get(course.name, course.name)), problem, remedy)
    return tuple(sorted(courses.values(), key=lambda course: (course.order, course.name)))
