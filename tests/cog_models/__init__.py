"""Models as strangers write them: small directories, and what they must answer through both doors."""

from tests.cog_models import endings, files, habits, inputs, outputs, shapes

TABLES = (inputs, outputs, files, shapes, habits, endings)
