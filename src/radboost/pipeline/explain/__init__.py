"""Why a run or a blend says what it says of a unit: where in its crops, from which blocks, and like which exams."""
