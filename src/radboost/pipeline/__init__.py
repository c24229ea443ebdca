"""What spans stages: blending runs into something that predicts, predicting, and the demo."""
