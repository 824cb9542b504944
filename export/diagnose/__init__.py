"""Why a model does not convert: the smallest part that fails, known failures."""
