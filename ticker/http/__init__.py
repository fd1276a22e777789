"""HTTP as both doors need it: what a request may be, and what its fields say. Knows errors alone."""
