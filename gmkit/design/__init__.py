"""Design: records that an objective likes, proposed by a trained model.

``gmkit.objectives`` says what is wanted, ``operators`` how a model proposes, ``archive`` what was
scored, ``replay`` how the model learns from it, ``search`` how these take turns.
"""
