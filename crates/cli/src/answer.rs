//! Answers as people read them: the best class of each picture.

use salver_tensor::Tensor;

/// The class that scores highest in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Best {
    pub(crate) class: usize,
    pub(crate) score: f32,
}

/// Returns the best class of each row of scores `[N,K]`, K > 1; `None` if the outputs are something else.
pub(crate) fn best_classes(outputs: &[(String, Tensor)]) -> Option<Vec<Best>> {
    let [(_, scores)] = outputs else { return None };
    let &[_, num_classes] = &scores.shape()[..] else {
        return None;
    };
    if num_classes < 2 {
        return None;
    }
    let values = scores.as_slice::<f32>().ok()?;
    Some(values.chunks_exact(num_classes).map(best).collect())
}

/// Returns the first of the highest; what is no number is never the best.
fn best(scores: &[f32]) -> Best {
    let mut best = Best {
        class: 0,
        score: f32::NEG_INFINITY,
    };
    for (class, &score) in scores.iter().enumerate() {
        if score > best.score {
            best = Best { class, score };
        }
    }
    best
}

/// Writes `3 (0.998)`, or the class's name in the place of its index.
pub(crate) fn describe(best: Best, labels: &[String]) -> String {
    match labels.get(best.class) {
        Some(label) => format!("{label} ({:.3})", best.score),
        None => format!("{} ({:.3})", best.class, best.score),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(shape: &[usize], scores: Vec<f32>) -> Vec<(String, Tensor)> {
        vec![("y".to_owned(), Tensor::from_vec(shape, scores).unwrap())]
    }

    #[test]
    fn each_row_has_its_best_class() {
        let scores = outputs(&[2, 3], vec![0.1, 0.7, 0.7, f32::NAN, -2.0, -1.0]);
        let expected = [
            Best {
                class: 1,
                score: 0.7,
            },
            Best {
                class: 2,
                score: -1.0,
            },
        ];
        assert_eq!(best_classes(&scores).unwrap(), expected);
    }

    #[test]
    fn other_outputs_have_none() {
        let mut two = outputs(&[1, 2], vec![0.0, 1.0]);
        two.extend(outputs(&[1, 2], vec![0.0, 1.0]));
        let integers = vec![(
            "y".to_owned(),
            Tensor::from_vec([1, 2], vec![1_i64, 2]).unwrap(),
        )];
        for outputs in [
            outputs(&[2], vec![0.0; 2]),
            outputs(&[2, 1], vec![0.0; 2]),
            two,
            integers,
            vec![],
        ] {
            assert_eq!(best_classes(&outputs), None, "{outputs:?}");
        }
    }

    #[test]
    fn names_take_the_place_of_indices() {
        let labels = ["cat".to_owned()];
        assert_eq!(
            describe(
                Best {
                    class: 0,
                    score: 0.9981
                },
                &labels
            ),
            "cat (0.998)"
        );
        assert_eq!(
            describe(
                Best {
                    class: 3,
                    score: 0.5
                },
                &labels
            ),
            "3 (0.500)"
        );
    }
}
