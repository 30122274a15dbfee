import numpy as np

from bonescint.scan import Focus, View
from bonescint.scan.lesions import lesions_by_description, lesions_by_place, numbered_areas


def test_areas_go_to_the_nearest_centre() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((20, 15)) < 0.5
    centres = rng.random((4, 2)) * [19, 14]
    numbers = np.array([3, 1, 4, 8])
    found = numbered_areas(mask, centres, numbers, (2.0, 3.0))
    assert ((found > 0) == mask).all() or (found > 0).sum() - mask.sum() <= 4
    for row, column in zip(*np.nonzero(mask), strict=True):
        distance = ((np.array([row, column]) - centres) * [2.0, 3.0]) ** 2
        assert found[row, column] == numbers[distance.sum(axis=1).argmin()]
    hidden = numbered_areas(
        np.zeros((5, 5), dtype=bool), np.array([[2.0, 2.0]]), np.array([6]), (1.0, 1.0)
    )
    assert hidden[2, 2] == 6


def test_pieces_and_centres_of_a_mask() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[0, 0] = mask[1, 1] = mask[4, 4] = True
    pieces = numbered_areas(mask, np.zeros((0, 2)), np.zeros(0, int), (1.0, 1.0))
    assert (pieces[0, 0], pieces[1, 1], pieces[4, 4]) == (1, 1, 2), "corners touch"
    # A lesion without a pixel of its own keeps the one at its centre; one outside has none.
    mask[4, 4] = False
    centres = np.array([[0.0, 0.0], [5.4, 0.4], [9.0, 9.0], [-1.0, 2.0]])
    found = numbered_areas(mask, centres, np.array([1, 2, 3, 4]), (1.0, 1.0))
    assert found[5, 0] == 2
    assert not (found == 3).any()
    assert not (found == 4).any()
    mask[4, 4] = True
    edge = numbered_areas(mask, np.array([[0.0, 0.0], [5.0, 5.0], [0.0, 5.0]]),
                          np.array([1, 2, 3]), (1.0, 1.0))  # fmt: skip
    assert (edge[4, 4], edge[0, 5]) == (2, 3)
    # Pixels that are not square: nearer in mm, not in pixels.
    flat = np.zeros((1, 9), dtype=bool)
    flat[0, 4] = True
    two = np.array([[0.0, 1.0], [3.0, 4.0]])
    assert numbered_areas(flat, two, np.array([1, 2]), (1.0, 2.0))[0, 4] == 2
    assert numbered_areas(flat, two, np.array([1, 2]), (4.0, 2.0))[0, 4] == 1


def test_a_metastasis_in_both_views_is_one() -> None:
    def focus(view: View, row: float, column: float) -> Focus:
        return Focus(view=view, row=row, column=column)

    both = [
        focus(View.ANTERIOR, 50, 10), focus(View.ANTERIOR, 90, 40), focus(View.POSTERIOR, 91, 22),
        focus(View.POSTERIOR, 50, 53), focus(View.POSTERIOR, 200, 30),
    ]  # fmt: skip
    assert lesions_by_place(both, (5, 5), columns=64) == [1, 2, 2, 1, 3]
    assert lesions_by_place(both[2:], (5, 5), columns=64) == [1, 2, 3]
    assert lesions_by_place([], (5, 5), columns=64) == []


def test_foci_of_one_description_are_one_lesion() -> None:
    def focus(view: View, contrast: float | None, radius: float = 5.0) -> Focus:
        return Focus(view=view, row=1, column=1, contrast=contrast, radius_mm=radius)

    front, back = View.ANTERIOR, View.POSTERIOR
    foci = [focus(front, 2.0), focus(back, 3.0), focus(back, 2.0), focus(back, 2.0, 6.0)]
    assert lesions_by_description(foci) == [1, 2, 1, 3]
    assert lesions_by_description([focus(front, None), focus(back, None)]) == [1, 2]
    assert lesions_by_description([]) == []
