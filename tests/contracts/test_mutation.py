"""tools/mutation.py"""

from tools.mutation import totals


def test_the_changes_of_each_path_are_counted():
    """A change that cannot be run counts as killed, and a module in two paths counts once for all of them."""
    outcomes = [("a/x.py", "KILLED"), ("a/x.py", "SURVIVED"), ("a/y.py", "INCOMPETENT"), ("b.py", "SURVIVED")]
    modules = {"a": ["a/x.py", "a/y.py"], "a/x.py": ["a/x.py"], "b.py": ["b.py"]}
    assert totals(outcomes, modules) == [
        "a: 2 killed, 1 survived",
        "a/x.py: 1 killed, 1 survived",
        "b.py: 0 killed, 1 survived",
        "all paths: 2 killed, 2 survived",
    ]
