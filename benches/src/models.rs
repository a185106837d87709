//! The models that are served: ONNX files made here, the same bytes for every server.

use salver_tensor::{DType, Tensor};
use salver_testkit::onnx::{Attribute, Graph};

/// Blocks of each stage of a ResNet101.
const RESNET_BLOCKS: [usize; 4] = [3, 4, 23, 3];

/// Channels that a bottleneck's last convolution has for each of its first one's.
const EXPANSION: usize = 4;

/// Returns `y = 0.5 x + 2` of one axis.
pub(crate) fn half_plus_two() -> Vec<u8> {
    Graph::new()
        .input("x", DType::F32, &["n"])
        .weight("a", &tensor(&[], vec![0.5]))
        .weight("b", &tensor(&[], vec![2.0]))
        .node("Mul", &["x", "a"], &["half"])
        .node("Add", &["half", "b"], &["y"])
        .output("y", DType::F32, &["n"])
        .to_bytes()
}

/// Returns dense layers of these widths, with random weights and a ReLU between them.
pub(crate) fn layers(widths: &[usize]) -> Vec<u8> {
    let mut weights = Weights::new();
    let mut graph = Graph::new().input("x", DType::F32, &["n", &widths[0].to_string()]);
    let mut value = "x".to_owned();
    let last = widths.len() - 2;
    for (idx, pair) in widths.windows(2).enumerate() {
        let (weight, product) = (
            format!("w{idx}"),
            if idx == last {
                "y".to_owned()
            } else {
                format!("p{idx}")
            },
        );
        graph = graph
            .weight(&weight, &weights.of(&[pair[0], pair[1]]))
            .node("MatMul", &[&value, &weight], &[&product]);
        value = product;
        if idx < last {
            let relu = format!("r{idx}");
            graph = graph.node("Relu", &[&value], &[&relu]);
            value = relu;
        }
    }
    graph
        .output("y", DType::F32, &["n", &widths[last + 1].to_string()])
        .to_bytes()
}

/// Returns the mean of each channel of a picture of 224 by 224: nearly nothing but its 602 KB.
pub(crate) fn picture_mean() -> Vec<u8> {
    Graph::new()
        .input("x", DType::F32, &["n", "224", "224", "3"])
        .node_with(
            "ReduceMean",
            &["x"],
            &["y"],
            &[
                ("axes", Attribute::Ints(vec![1, 2])),
                ("keepdims", Attribute::Int(0)),
            ],
        )
        .output("y", DType::F32, &["n", "3"])
        .to_bytes()
}

/// Returns the first of so many values: nothing but the request that brings them.
pub(crate) fn first_of(len: usize) -> Vec<u8> {
    let first = Tensor::from_vec([1], vec![0_i64]).expect("one value");
    Graph::new()
        .input("x", DType::F32, &["n", &len.to_string()])
        .weight("first", &first)
        .node_with(
            "Gather",
            &["x", "first"],
            &["y"],
            &[("axis", Attribute::Int(1))],
        )
        .output("y", DType::F32, &["n", "1"])
        .to_bytes()
}

/// Returns a ResNet101 for pictures of 224 by 224, channels last, batch normalisation folded into its convolutions.
/// Its weights are random: its time is that of a trained one.
///
/// The architecture is that of He et al., "Deep Residual Learning for Image Recognition" (2015), table 1, with the
/// stride in the 3 by 3 convolution.
pub(crate) fn resnet101() -> Vec<u8> {
    let mut net = Net::of_pictures("224");
    let stem = net.conv("channels_first", [3, 64], 7, 2);
    let stem = net.relu(&stem);
    let mut value = net.node(
        "MaxPool",
        &[&stem],
        &[
            ("kernel_shape", Attribute::Ints(vec![3, 3])),
            ("strides", Attribute::Ints(vec![2, 2])),
            ("pads", Attribute::Ints(vec![1; 4])),
        ],
    );
    let mut num_channels = 64;
    for (stage, num_blocks) in RESNET_BLOCKS.into_iter().enumerate() {
        for block in 0..num_blocks {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            value = net.bottleneck(&value, num_channels, 64 << stage, stride);
            num_channels = (64 << stage) * EXPANSION;
        }
    }
    net.classes(&value, num_channels, 1000)
}

/// Returns a small network of convolutions for pictures of 32 by 32, channels last: some half a millisecond on a core.
pub(crate) fn small_convolutions() -> Vec<u8> {
    let layers = [([3, 32], 1), ([32, 64], 2), ([64, 64], 1), ([64, 128], 2)];
    convolutions("32", &layers)
}

/// The arithmetic of the first layers of [`middling_convolutions`], of that of one that follows.
pub(crate) const FIRST_LAYERS: f64 = 95.0 / 151.0;

/// Returns a network of convolutions for pictures of 16 by 16, channels last: three layers of 95 million multiplications
/// together, and so many that follow, each of 151 million and with weights of 2.4 MB. Four take some 20 ms on a core.
pub(crate) fn middling_convolutions(num_layers: usize) -> Vec<u8> {
    let mut layers = vec![([3, 64], 1), ([64, 128], 1), ([128, 256], 1)];
    layers.resize(layers.len() + num_layers, ([256, 256], 1));
    convolutions("16", &layers)
}

/// Returns convolutions of 3 by 3 with these channels and strides, for pictures of this size, and ten classes.
fn convolutions(size: &str, layers: &[([usize; 2], i64)]) -> Vec<u8> {
    let mut net = Net::of_pictures(size);
    let (mut value, mut num_channels) = ("channels_first".to_owned(), 0);
    for &(channels, stride) in layers {
        value = net.conv(&value, channels, 3, stride);
        value = net.relu(&value);
        num_channels = channels[1];
    }
    net.classes(&value, num_channels, 10)
}

struct Net {
    graph: Graph,
    weights: Weights,
    num_values: usize,
}

impl Net {
    /// Begins with pictures of this size, channels last, and puts their channels first.
    fn of_pictures(size: &str) -> Self {
        Self {
            graph: Graph::new()
                .input("x", DType::F32, &["n", size, size, "3"])
                .node_with(
                    "Transpose",
                    &["x"],
                    &["channels_first"],
                    &[("perm", Attribute::Ints(vec![0, 3, 1, 2]))],
                ),
            weights: Weights::new(),
            num_values: 0,
        }
    }

    /// Ends with a dense layer over the mean of each channel.
    fn classes(mut self, value: &str, num_channels: usize, num_classes: usize) -> Vec<u8> {
        let pooled = self.node("GlobalAveragePool", &[value], &[]);
        let flat = self.node("Flatten", &[&pooled], &[]);
        let weight = self.weights.of(&[num_channels, num_classes]);
        self.graph
            .weight("classes", &weight)
            .node("MatMul", &[&flat, "classes"], &["y"])
            .output("y", DType::F32, &["n", &num_classes.to_string()])
            .to_bytes()
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        self.num_values += 1;
        let output = format!("v{}", self.num_values);
        self.graph =
            std::mem::take(&mut self.graph).node_with(operator, inputs, &[&output], attributes);
        output
    }

    fn relu(&mut self, value: &str) -> String {
        self.node("Relu", &[value], &[])
    }

    /// A convolution and its bias; `channels` are those of its input and output.
    fn conv(&mut self, value: &str, channels: [usize; 2], size: usize, stride: i64) -> String {
        let name = self.num_values;
        let (kernel, bias) = (format!("k{name}"), format!("b{name}"));
        self.graph = std::mem::take(&mut self.graph)
            .weight(
                &kernel,
                &self.weights.of(&[channels[1], channels[0], size, size]),
            )
            .weight(&bias, &self.weights.of(&[channels[1]]));
        let pad = (size / 2) as i64;
        self.node(
            "Conv",
            &[value, &kernel, &bias],
            &[
                ("kernel_shape", Attribute::Ints(vec![size as i64; 2])),
                ("strides", Attribute::Ints(vec![stride; 2])),
                ("pads", Attribute::Ints(vec![pad; 4])),
            ],
        )
    }

    fn bottleneck(
        &mut self,
        value: &str,
        num_channels: usize,
        width: usize,
        stride: i64,
    ) -> String {
        let narrow = self.conv(value, [num_channels, width], 1, 1);
        let narrow = self.relu(&narrow);
        let middle = self.conv(&narrow, [width, width], 3, stride);
        let middle = self.relu(&middle);
        let wide = self.conv(&middle, [width, width * EXPANSION], 1, 1);
        let shortcut = if num_channels == width * EXPANSION {
            value.to_owned()
        } else {
            self.conv(value, [num_channels, width * EXPANSION], 1, stride)
        };
        let sum = self.node("Add", &[&wide, &shortcut], &[]);
        self.relu(&sum)
    }
}

/// Random weights that keep the size of what goes through them.
struct Weights(fastrand::Rng);

impl Weights {
    fn new() -> Self {
        Self(fastrand::Rng::with_seed(1))
    }

    fn of(&mut self, dims: &[usize]) -> Tensor {
        let len: usize = dims.iter().product();
        let fan_in = (len / dims[0].max(1)).max(1) as f32;
        let scale = fan_in.sqrt().recip();
        let values: Vec<f32> = (0..len).map(|_| (self.0.f32() - 0.5) * scale).collect();
        tensor(dims, values)
    }
}

fn tensor(dims: &[usize], values: Vec<f32>) -> Tensor {
    Tensor::from_vec(dims, values).expect("as many values as the shape has")
}
