"""The ports' promises as test suites, for whoever writes an issuer or a store: ``issuer.py`` and ``store.py``.

This package alone imports pytest, which is a dependency of whoever runs it: ``pip install token-provisioner[testing]``.
Nothing else of this project imports this package. An assertion in it says what was compared, as in a test file.
"""

import pytest

# pytest has to know before the suites are imported, and this runs before they can be: the place that its manual names
pytest.register_assert_rewrite("provisioner.testing.issuer", "provisioner.testing.store")
